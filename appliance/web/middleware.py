"""The boundary of the web: every request gets a number, every error a shape, every answer its security headers."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web

from appliance.errors import WeirError
from appliance.web import answers, pages
from appliance.web.route import REQUEST_ID, STREAM

Next = Callable[[web.Request], Awaitable[web.StreamResponse]]

# Nothing but our own style sheet and our own forms; pages that need more say so themselves.
CONTENT_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    # Not "no-referrer": with that, browsers send "Origin: null" with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_MACHINES = ("/api/", "/storage/", "/logging/", "/account/token", "/account/check/")


@web.middleware
async def boundary(request: web.Request, handler: Next) -> web.StreamResponse:
    """Numbers the request and turns what was raised into an answer; nothing is leaked, everything is in the log."""
    request_id = f"{random.getrandbits(64):016x}"  # noqa: S311 - found in the log by it; no secret, and no system call
    request[REQUEST_ID] = request_id
    try:
        return await handler(request)
    except Exception as error:  # noqa: BLE001 - the request boundary is one of the four
        if isinstance(error, ConnectionError) and request.transport is None:
            # The client left: nothing is wrong, and nobody gets this answer. Raised on, it would be a trace in the log
            # for whoever likes to cut connections.
            return web.Response(status=HTTPStatus.BAD_REQUEST)
        told = answers.as_error(error, request_id)
        begun = request.get(STREAM)
        if begun is not None:
            return _cut(begun)
        return _page(told, request_id) if _is_browser(request) else answers.error_response(told, request_id)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Signal handler: the headers that every answer carries unless the handler said otherwise."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["X-Request-Id"] = request.get(REQUEST_ID, "")
    response.headers.pop("Server", None)


def _cut(response: web.StreamResponse) -> web.StreamResponse:
    """A stream whose headers are out can only end; its client comes back with the last id."""
    response.force_close()
    return response


def _page(error: WeirError, request_id: str) -> web.Response:
    page = pages.render("error.html", error=error, request_id=request_id, title=answers.title(error.status))
    return answers.refusal(error, page, pages.HTML)


def _is_browser(request: web.Request) -> bool:
    return "text/html" in request.headers.get("Accept", "") and not request.path.startswith(_MACHINES)
