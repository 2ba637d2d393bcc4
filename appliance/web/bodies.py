"""Requests from bytes to structs: bodies with a size limit and a deadline, queries by their struct."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from appliance.errors import Invalid, TooLarge, Unavailable, WrongType
from appliance.web.budget import Hold
from appliance.web.route import Route

BODY_DEADLINE_S = 60
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


async def read(request: web.Request, limit: int, hold: Hold) -> bytes:
    """The body, at most `limit` bytes. A larger one is refused as soon as that is known, without reading the rest.

    Raises TooLarge, Invalid (broken framing) and Unavailable (the client was too slow, or there is no room for more).
    """
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_DEADLINE_S):
            async for chunk in request.content.iter_any():
                hold.arrived(len(chunk))
                body += chunk
                if len(body) > limit:
                    raise _too_large(limit)
    except TimeoutError as error:
        raise Unavailable(
            f"the body did not arrive within {BODY_DEADLINE_S} s", code="timeout", hint="Send it again."
        ) from error
    except (HttpProcessingError, web.RequestPayloadError) as error:
        raise Invalid(f"the body is broken: {error}") from error
    return bytes(body)


async def decode(request: web.Request, route: Route, hold: Hold) -> Any:
    """What the route's `body` says: a struct, the bytes as they came, a form, or None where it takes nothing."""
    if route.body is None:
        return None
    raw = await read(request, route.max_body_bytes, hold)
    kind = request.content_type if "Content-Type" in request.headers else ""
    if route.body is dict:
        return form(raw, kind)
    if kind != JSON and not (kind == "" and not raw):
        raise WrongType(f"this route takes {JSON}, not {kind or 'a body without a type'}")
    return raw if route.body is bytes else struct(raw or b"{}", route.body)


def struct(raw: bytes, kind: type[Any]) -> Any:
    """JSON as the struct. Raises Invalid naming the field and what is wrong with it."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise Invalid(f"the body does not fit: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise Invalid("the body is nested too deeply") from error


def form(raw: bytes, kind: str) -> dict[str, str]:
    """A browser's form, or a flat JSON object, as text by name; the last of two equal names counts."""
    if kind == JSON:
        return {name: str(value) for name, value in struct(raw or b"{}", dict[str, Any]).items()}
    if kind != FORM:
        raise WrongType(f"this route takes {FORM} or {JSON}, not {kind or 'a body without a type'}")
    try:
        return dict(parse_qsl(raw.decode("utf-8"), keep_blank_values=True, max_num_fields=100, errors="strict"))
    except (UnicodeDecodeError, ValueError) as error:
        raise Invalid(f"the form is broken: {error}") from error


def query(request: web.Request, route: Route) -> Any:
    """The query as the route's struct; repeated names become lists where the struct has one. Unknown names are left."""
    if route.query is None:
        return None
    given: dict[str, Any] = {}
    for field in msgspec.structs.fields(route.query):
        values = request.query.getall(field.encode_name, [])
        if values:
            given[field.encode_name] = list(values) if _is_list(field.type) else values[-1]
    try:
        return msgspec.convert(given, route.query, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid(f"the query does not fit: {error}") from error


def _is_list(kind: Any) -> bool:
    return "list[" in str(kind)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body is larger than {limit} bytes", hint="Send less, or split it.")
