"""How rows of the route table are written: the API's prefix, and one word per method."""

from __future__ import annotations

from typing import Any

from appliance.web.route import Handler, Route

API = "/api/v1"
SMALL = 64 * 1024  # bodies that people and launchers write by hand


def get(path: str, handler: Handler, response: Any, permission: str | None, summary: str, **rest: Any) -> Route:
    """A row of the API that changes nothing."""
    return Route("GET", API + path, handler, summary, permission=permission, response=response, **rest)


def post(path: str, handler: Handler, response: Any, permission: str | None, summary: str, **rest: Any) -> Route:
    """A row of the API that makes or does something."""
    return _write("POST", path, handler, response, permission, summary, rest)


def put(path: str, handler: Handler, response: Any, permission: str | None, summary: str, **rest: Any) -> Route:
    """A row of the API that changes something."""
    return _write("PUT", path, handler, response, permission, summary, rest)


def patch(path: str, handler: Handler, response: Any, permission: str | None, summary: str, **rest: Any) -> Route:
    """A row of the API that changes a part of something."""
    return _write("PATCH", path, handler, response, permission, summary, rest)


def delete(path: str, handler: Handler, response: Any, permission: str | None, summary: str, **rest: Any) -> Route:
    """A row of the API that removes something."""
    return _write("DELETE", path, handler, response, permission, summary, rest)


def _write(
    method: str,
    path: str,
    handler: Handler,
    response: Any,
    permission: str | None,
    summary: str,
    rest: dict[str, Any],
) -> Route:
    rest.setdefault("max_body_bytes", SMALL)
    return Route(method, API + path, handler, summary, permission=permission, response=response, **rest)
