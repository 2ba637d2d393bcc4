"""From what a handler returns, or raises, to a response."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from aiohttp import web

from appliance.errors import Internal, NotFound, TooMany, Unavailable, WeirError, WrongMethod
from appliance.schema.common import ErrorBody
from appliance.web.route import Reply, Route

log = logging.getLogger(__name__)

JSON = "application/json; charset=utf-8"
_TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Wrong Method",
    409: "Conflict",
    413: "Too Large",
    415: "Unsupported Type",
    422: "Not Possible Now",
    429: "Too Many Requests",
    500: "Internal Error",
    503: "Unavailable",
}

_encode = msgspec.json.Encoder().encode


def title(status: int) -> str:
    """A status in words."""
    return _TITLES.get(status, "Error")


def answer(route: Route, result: Any) -> web.StreamResponse:
    """The response for a handler's result: a struct as JSON, a Reply as it is, None as an empty body."""
    if isinstance(result, web.StreamResponse):
        return result
    if isinstance(result, Reply):
        return _reply(route, result)
    if result is None:
        return web.Response(status=route.status)
    return web.Response(body=_encode(result), status=route.status, headers={"Content-Type": JSON})


def _reply(route: Route, reply: Reply) -> web.Response:
    response = web.Response(body=reply.body, status=reply.status or route.status)
    response.headers["Content-Type"] = reply.content_type
    for name, value in reply.headers:
        response.headers.add(name, value)
    return response


def as_error(error: Exception, request_id: str) -> WeirError:
    """What is told of an exception. One that nobody foresaw is logged with its trace and told by its number only."""
    if isinstance(error, WeirError):
        return error
    if isinstance(error, web.HTTPNotFound):
        return NotFound("Not Found")
    if isinstance(error, web.HTTPMethodNotAllowed):
        return WrongMethod(error.method, error.allowed_methods)
    if isinstance(error, web.HTTPException):
        return _of_status(error)
    if isinstance(error, TimeoutError):
        return Unavailable("the answer took too long", code="timeout", hint="Try again.")
    log.error("request %s failed", request_id, exc_info=error)
    return Internal(
        "something failed inside Weir", hint=f"The log of the appliance says more; search it for {request_id}."
    )


def _of_status(error: web.HTTPException) -> WeirError:
    told = WeirError(error.reason, code="invalid_request" if error.status < 500 else "unexpected_error")
    told.status = error.status
    return told


def error_response(error: WeirError, request_id: str) -> web.Response:
    """`{code, error, hint, …}`: the shape of every refusal of the API."""
    body = ErrorBody(
        code=error.code,
        error=error.message,
        hint=error.hint or None,
        title=title(error.status),
        status=error.status,
        detail=error.message,
        instance=request_id,
    )
    return refusal(error, _encode(body), JSON)


def refusal(error: WeirError, body: bytes, content_type: str) -> web.Response:
    """A response with the status and the headers that belong to the error."""
    response = web.Response(body=body, status=error.status, headers={"Content-Type": content_type})
    if isinstance(error, TooMany):
        response.headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, WrongMethod):
        response.headers["Allow"] = error.allow
    if error.status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="weir"'
    if error.status in (413, 415) or error.code in ("timeout", "busy"):
        response.force_close()  # the rest of the body is still on its way
    return response
