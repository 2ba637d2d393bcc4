"""Where Node-RED keeps its flows, credentials, settings, sessions and library: bytes in, the same bytes out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from appliance.schema.deploys import HandedIn, HandIn
from appliance.schema.instances import LibraryQuery
from appliance.web.answers import JSON
from appliance.web.route import Ask, Reply
from appliance.web.services import Services

_EMPTY = {"flows": b"[]", "credentials": b"{}", "settings": b"{}", "sessions": b"{}"}

KINDS = tuple(_EMPTY)
Storing = Callable[[Services, Ask[None, bytes]], Awaitable[Reply]]
Reading = Callable[[Services, Ask[None, None]], Awaitable[Reply]]


def reader(kind: str) -> Reading:
    """The handler that answers what is stored of `kind`, or the empty document of that kind."""

    async def read(services: Services, ask: Ask[None, None]) -> Reply:
        stored = await services.storage.get(ask.id, kind)
        return Reply(_EMPTY[kind] if stored is None else stored)

    read.__name__ = f"read_{kind}"
    return read


def writer(kind: str) -> Storing:
    """The handler that stores `kind` durably and then echoes the body."""

    async def write(services: Services, ask: Ask[None, bytes]) -> Reply:
        await services.storage.put(
            ask.id,
            kind,
            ask.body,
            request_id=ask.header("x-weir-request"),
            user=ask.header("ff-user"),
            base=ask.header("x-weir-base"),
        )
        return Reply(ask.body)

    write.__name__ = f"write_{kind}"
    return write


async def hand_in(services: Services, ask: Ask[None, HandIn]) -> HandedIn:
    """A deploy that was made while the appliance was away."""
    return await services.deploys.hand_in(ask.id, ask.body)


async def read_library(services: Services, ask: Ask[LibraryQuery, None]) -> Reply:
    """An entry (JSON for flows, text for all else) or a folder's list."""
    found = await services.storage.library_get(ask.id, ask.params["type"], ask.query.name)
    # Node-RED takes an entry for JSON or text by this header alone.
    return Reply(found.body, JSON if found.json else "text/plain; charset=utf-8")


async def write_library(services: Services, ask: Ask[None, bytes]) -> None:
    await services.storage.library_put(ask.id, ask.params["type"], ask.body)
