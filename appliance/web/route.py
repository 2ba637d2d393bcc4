"""What a row of the route table is, what a handler gets, and what it may answer."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from aiohttp import web
from msgspec import Struct

from appliance.model import Subject

if TYPE_CHECKING:
    from appliance.web.browser import Browser
    from appliance.web.services import Services

Q = TypeVar("Q")
B = TypeVar("B")

MEGABYTE = 1024 * 1024

# What is known of a request beside its own headers: its number in the log, and the stream it was answered with.
REQUEST_ID = web.RequestKey("id", str)
STREAM = web.RequestKey("stream", web.StreamResponse)

# Who may ask. Each word is one rule of `identity.py`.
Auth = Literal[
    "public",  # nobody is asked
    "anyone",  # as `api`, but without a credential it is nobody
    "api",  # a user: bearer token, or the account on the other end of api.sock
    "launcher",  # the launcher of the instance in the path
    "node_red",  # Node-RED of the instance in the path
    "instance",  # either of the two
    "library",  # a user as `api`, or Node-RED of an instance of the team in the path
    "bearer",  # any valid token; the handler decides
    "browser",  # the session cookie, which may be missing
]

# What the permission is asked on; the word says which path parameter names it. Of `body` and `query`, they name it.
On = Literal[
    "none", "user", "team", "team_slug", "application", "instance", "instance_name", "snapshot", "body", "query"
]


class Ask(Struct, Generic[Q, B], frozen=True):
    """One request, decoded. `browser` is set on `browser` routes only.

    `origin` is the scheme, name and port under which the client reached us; `address` is the client's.
    """

    subject: Subject
    params: dict[str, str]
    query: Q
    body: B
    request: web.Request
    origin: str
    address: str
    browser: Browser | None = None

    def header(self, name: str) -> str | None:
        return self.request.headers.get(name)

    @property
    def bearer(self) -> str:
        """The bearer token as it was sent; empty where none was needed."""
        return self.request.headers.get("Authorization", "").partition(" ")[2].strip()

    @property
    def id(self) -> str:
        """The id in the path that the permission was asked on."""
        return self.params["id"]


class Reply(Struct, frozen=True):
    """An answer that isn't a wire struct: bytes, redirects, cookies. `status` None: the route's."""

    body: bytes = b""
    content_type: str = "application/json; charset=utf-8"
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()


Handler = Callable[["Services", Any], Awaitable[Any]]


class Route(Struct, frozen=True):
    """A row of the table. `body`: a struct to decode, `bytes` for the body as it came, `dict` for a form.

    `response`: the struct answered, `bytes` where the handler makes a Reply, None for an empty body.
    `media`: the type of such a Reply, where it is neither a browser's page nor JSON. `refusal`: what some refusals
    look like that have another standard to follow.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    auth: Auth = "api"
    permission: str | None = None
    on: On = "none"
    query: type[Any] | None = None
    body: Any = None
    response: Any = None
    status: int = 200
    max_body_bytes: int = 10 * MEGABYTE
    stream: bool = False
    tag: str = ""
    media: str = ""
    refusal: type[Struct] | None = None

    @property
    def plain_path(self) -> str:
        """The path without the patterns of its parameters: `{path:.+}` is `{path}`."""
        return re.sub(r"{(\w+):[^}]*}", r"{\1}", self.path)


def redirect(location: str, *cookies: str, status: int = 303) -> Reply:
    """Send a browser elsewhere, always by GET."""
    headers = [("Location", location), *(("Set-Cookie", cookie) for cookie in cookies)]
    return Reply(status=status, headers=tuple(headers), content_type="text/plain")
