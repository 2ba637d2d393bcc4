"""The library of a team: for people and programs, and for the editors of its instances."""

from __future__ import annotations

import msgspec

from appliance.schema import library as wire
from appliance.schema.common import Status
from appliance.schema.library import EntriesQuery, EntryQuery, MoveEntry, SaveEntry, SharedQuery
from appliance.web import bodies
from appliance.web.answers import JSON
from appliance.web.route import Ask, Reply
from appliance.web.services import Services

DONE = Status()
TEXT = "text/plain; charset=utf-8"


async def entries(services: Services, ask: Ask[EntriesQuery, None]) -> wire.LibraryEntries:
    return await services.library.entries(ask.id, ask.query, ask.query.type)


async def entry(services: Services, ask: Ask[EntryQuery, None]) -> wire.FullEntry:
    return await services.library.entry(ask.id, ask.query.name, ask.query.type)


async def save(services: Services, ask: Ask[None, SaveEntry]) -> Status:
    await services.library.save(ask.subject, ask.id, ask.body)
    return DONE


async def move(services: Services, ask: Ask[None, MoveEntry]) -> wire.Moved:
    return await services.library.move(ask.subject, ask.id, ask.body)


async def remove(services: Services, ask: Ask[EntryQuery, None]) -> wire.Deleted:
    return await services.library.remove(ask.subject, ask.id, ask.query.name, ask.query.type)


async def read_shared(services: Services, ask: Ask[SharedQuery, None]) -> Reply:
    """An entry (JSON for flows, text for all else) or a folder's list, as Node-RED's editor takes it."""
    found = await services.library.at(ask.id, _path(ask.params, ask.query.name), ask.query.type)
    return Reply(found.body, JSON if found.json else TEXT, headers=(("X-Meta-Type", _header(found.kind)),))


async def write_shared(services: Services, ask: Ask[None, bytes]) -> None:
    """The path of the entry is in the body, or else in the address."""
    given = bodies.struct(ask.body, dict[str, msgspec.Raw])
    document = bodies.struct(ask.body, wire.SaveEntry) if "name" in given else _named(given, ask.params)
    await services.library.save(ask.subject, ask.id, document)


async def remove_shared(services: Services, ask: Ask[SharedQuery, None]) -> wire.Deleted:
    return await services.library.remove(ask.subject, ask.id, _path(ask.params, ask.query.name), ask.query.type)


def _named(given: dict[str, msgspec.Raw], params: dict[str, str]) -> wire.SaveEntry:
    whole = {**given, "name": params.get("path", "")}
    made: wire.SaveEntry = bodies.struct(msgspec.json.encode(whole), wire.SaveEntry)
    return made


def _path(params: dict[str, str], name: str | None) -> str:
    return params.get("path", "") if name is None else name


def _header(kind: str) -> str:
    """Types are anybody's words; a header takes ASCII only."""
    return kind.encode("ascii", "replace").decode()
