"""Who asks, and through which door.

Three doors lead in: `api.sock` (the kernel says which UNIX account is on the other end), `web.sock` (nginx, the only
one whose forwarded headers are believed) and loopback TCP (launchers and plugins; believed in nothing but tokens).
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Sequence
from enum import Enum
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING

from aiohttp import web
from msgspec import Struct

from appliance.errors import Invalid, NotFound, Unauthorized
from appliance.model import Subject
from appliance.services.tokens import SSH_PREFIX

if TYPE_CHECKING:
    from appliance.services.accounts import SessionInfo
    from appliance.web.route import Route
    from appliance.web.services import Services

# https://www.rfc-editor.org/rfc/rfc6265bis: the prefix makes browsers refuse the cookie without Secure and Path=/.
SESSION_COOKIE = "__Host-weir_sid"
FORM_COOKIE = "__Host-weir_form"

NOBODY = Subject(kind="nobody")
_ONCE = ("Authorization", "Content-Type", "Origin", "X-Forwarded-Host", "X-Forwarded-For")


class Door(Enum):
    """Which listener a request came in by."""

    API = "api.sock"
    WEB = "web.sock"
    LOOPBACK = "loopback"


class Caller(Struct, frozen=True):
    """What the connection itself says: the door, the client's address, and the origin it used to reach us."""

    door: Door
    address: str
    origin: str


def caller(request: web.Request, api_socket: str, web_socket: str) -> Caller:
    """Read the connection. Raises Invalid when a header that must be there once is repeated."""
    for name in _ONCE:
        if len(request.headers.getall(name, ())) > 1:
            raise Invalid(f"the header {name} is there twice", hint="Send it once.")
    transport = request.transport
    sockname = transport.get_extra_info("sockname") if transport else None
    if sockname == web_socket:
        host = request.headers.get("X-Forwarded-Host", "")
        address = request.headers.get("X-Forwarded-For", "unknown")
        return Caller(Door.WEB, address, f"https://{host}".lower())
    origin = f"http://{request.headers.get('Host', '')}".lower()
    if sockname == api_socket:
        return Caller(Door.API, "api.sock", origin)
    peer = transport.get_extra_info("peername") if transport else None
    return Caller(Door.LOOPBACK, str(peer[0]) if peer else "unknown", origin)


def own_origins(names: Sequence[str]) -> frozenset[str]:
    """The origins under which a browser may see the platform: its accepted names."""
    return frozenset(f"https://{name.lower()}".removesuffix(":443") for name in names)


class Identity:
    """Turns a request into a Subject by the rule that its route names."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def subject(self, request: web.Request, route: Route, door: Door) -> Subject:
        """Who asks. Raises Unauthorized, and NotFound for a token that is good, but for another instance."""
        match route.auth:
            case "public" | "browser":
                return NOBODY
            case "anyone":
                return await self._anyone(request, door)
            case "bearer":
                return await self._bearer(request, door)
            case "api":
                return await self._user(request, door)
            case "launcher":
                return await self._of_instance(request, door, {"launcher", "published"})
            case "node_red":
                return await self._of_instance(request, door, {"node_red", "published"})
            case "instance":
                return await self._of_instance(request, door, {"launcher", "node_red", "published"})
            case "library":
                return await self._of_library(request, door)

    async def session(self, request: web.Request) -> SessionInfo | None:
        """The session of the browser's cookie; None without one that is alive."""
        value = cookie(request, SESSION_COOKIE)
        return await self._services.accounts.session(value) if value else None

    async def _user(self, request: web.Request, door: Door) -> Subject:
        if door is Door.API and "Authorization" not in request.headers:
            return await self._account(request)
        subject = await self._bearer(request, door)
        if subject.kind != "user":
            raise Unauthorized("this token belongs to an instance, this route is for users")
        return subject

    async def _of_library(self, request: web.Request, door: Door) -> Subject:
        if door is Door.API and "Authorization" not in request.headers:
            return await self._account(request)
        subject = await self._bearer(request, door)
        if subject.kind not in ("user", "node_red", "published"):
            raise Unauthorized("this route is for users, and for the editors of a team's instances")
        return subject

    async def _anyone(self, request: web.Request, door: Door) -> Subject:
        if "Authorization" in request.headers:
            return await self._bearer(request, door)
        if door is Door.API and peer(request)[1] in (0, os.geteuid()):
            return await self._services.accounts.root()
        return NOBODY

    async def _of_instance(self, request: web.Request, door: Door, kinds: set[str]) -> Subject:
        subject = await self._bearer(request, door)
        if subject.kind not in kinds:
            raise Unauthorized(f"this route takes a token of kind {' or '.join(sorted(kinds))} only")
        if subject.instance_id != request.match_info["id"]:
            raise NotFound("there is no such instance for this token")
        return subject

    async def _bearer(self, request: web.Request, door: Door) -> Subject:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthorized("no token", hint="Send the header 'Authorization: Bearer TOKEN'.")
        if token.strip().startswith(SSH_PREFIX) and door is not Door.API:
            raise Unauthorized("this is a login over SSH, good on the box's own socket only")
        return await self._services.tokens.verify(token.strip())

    async def _account(self, request: web.Request) -> Subject:
        uid = peer(request)[1]
        if uid not in (0, os.geteuid()):
            raise Unauthorized(
                f"the account with number {uid} is not known here",
                hint="Ask as root, as the account that runs Weir, or with a token.",
            )
        return await self._services.accounts.root()


def user_subject(session: SessionInfo) -> Subject:
    """The person behind a session, with all his rights."""
    user = session.user
    return Subject(kind="user", user_id=user.id, username=user.username, admin=user.admin)


def cookie(request: web.Request, name: str) -> str | None:
    """The value of a cookie, or None; one that is there twice with two values counts as not there.

    Two values mean that somebody on another port of this host planted one (RFC 6265 §8.6): guessing would be wrong.
    """
    found: set[str] = set()
    for header in request.headers.getall("Cookie", ()):
        for pair in header.split(";"):
            key, _, value = pair.strip().partition("=")
            if key == name:
                found.add(_unquoted(value))
    return found.pop() if len(found) == 1 else None


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    try:
        return next(iter(SimpleCookie(f"v={value}").values())).value
    except (CookieError, StopIteration):
        return value


def peer(request: web.Request) -> tuple[int, int]:
    """Process and account on the other end of a UNIX socket, as the kernel has it. Raises Unauthorized."""
    opened = request.transport.get_extra_info("socket") if request.transport else None
    if opened is None or opened.family != socket.AF_UNIX:
        raise Unauthorized("the connection is gone, or not one of this machine")
    pid, uid, _ = struct.unpack("3i", opened.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return int(pid), int(uid)
