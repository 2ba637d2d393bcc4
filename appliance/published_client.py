"""Speaks to published launchers (instance protocol §2): no secret, states without numbers, a ring of log entries.

It answers but pushes nothing except states, so streams are made by asking again. What it can't do is never made up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from appliance.errors import Unavailable
from appliance.launcher_client import (
    COMMAND_S,
    INFO_S,
    LOGS_S,
    PLAINLY,
    LauncherAddress,
    LauncherClient,
    LogAnswer,
    StreamEvent,
    decoded,
    read,
)
from appliance.model import LauncherReport, LauncherState, Manner
from appliance.schema.resources import ResourceHistory, Sample
from launcher.schema import Command

SAMPLE_EVERY_S = 10.0
FOLLOW_EVERY_S = 2.0  # a whole ring is a few hundred kB
PAGE = 100
LARGEST_PAGE = 500
BACKWARDS = "-"


class PublishedInfo(Struct, frozen=True):
    """`GET /flowforge/info`."""

    id: str
    state: LauncherState
    versions: dict[str, str] = {}


class PublishedClient(LauncherClient):
    """As its base, for launchers that are not ours."""

    pushes_resources = False

    def __init__(self) -> None:
        super().__init__(lambda _id, _generation: "")

    async def info(self, at: LauncherAddress) -> LauncherReport:
        async with self._call("GET", at, "/flowforge/info", INFO_S) as answer:
            said = decoded(await read(answer, at), PublishedInfo)
        self._check_id(said.id, at)
        return LauncherReport(
            state=said.state,
            seq=0,
            pid=0,
            node_red_pid=None,
            command_generation=0,
            versions={key[:32]: value[:64] for key, value in said.versions.items()},
            reason="",
            message="",
            at=datetime.now(UTC),
            plain=True,
        )

    async def command(
        self, at: LauncherAddress, command: str, generation: int | None = None, manner: Manner = PLAINLY
    ) -> bool:
        """True when it is done. It answers a restart when Node-RED was started, after an install of modules: False
        when that takes longer than is waited for, and its state has to tell."""
        body = msgspec.json.encode({"cmd": Command(cmd=command).cmd})
        try:
            async with self._call("POST", at, "/flowforge/command", COMMAND_S, body=body, accept=(409,)) as answer:
                await read(answer, at)
        except Unavailable as error:
            if isinstance(error.__cause__, TimeoutError):
                return False
            raise
        return True

    async def logs(self, at: LauncherAddress, *, cursor: str | None = None, limit: int | None = None) -> LogAnswer:
        return page_of(await self._ring(at), cursor, limit)

    @asynccontextmanager
    async def stream(
        self, at: LauncherAddress, *, cursor: str | None = None
    ) -> AsyncIterator[AsyncIterator[StreamEvent]]:
        """Made of its ring, which is looked at every two seconds: of more than a thousand entries in these, the oldest
        are missed."""
        ring = await self._ring(at)
        first = [entry for entry in ring if str(entry["ts"]) >= cursor] if cursor else []
        yield self._follow(at, first, str(ring[-1]["ts"]) if ring else "")

    async def samples(
        self, at: LauncherAddress, *, since: int | None = None, limit: int | None = None
    ) -> ResourceHistory:
        async with self._call("GET", at, "/flowforge/resources", LOGS_S) as answer:
            said = decoded(await read(answer, at), dict[str, Any])
        found = [sample for sample in _samples(said.get("resources")) if since is None or sample.ts > since]
        kept = found[-limit:] if limit else found
        return ResourceHistory(meta={}, resources=kept, count=len(kept))

    @asynccontextmanager
    async def sample_stream(
        self, at: LauncherAddress, *, since: int | None = None
    ) -> AsyncIterator[AsyncIterator[StreamEvent]]:
        """Made of its samples, of which it takes one every ten seconds."""
        found = (await self.samples(at)).resources
        last = found[-1].ts if found else 0
        yield self._follow_samples(at, last if since is None else since)

    async def _ring(self, at: LauncherAddress) -> list[dict[str, Any]]:
        async with self._call("GET", at, "/flowforge/logs", LOGS_S) as answer:
            said = decoded(await read(answer, at), list[Any])
        return [entry for entry in said if isinstance(entry, dict) and _is_stamp(entry.get("ts"))]

    async def _follow(
        self, at: LauncherAddress, first: Sequence[dict[str, Any]], last: str
    ) -> AsyncIterator[StreamEvent]:
        new = first
        while True:
            for entry in new:
                last = str(entry["ts"])
                yield StreamEvent("log", msgspec.json.encode(entry).decode(), last)
            if not new:
                yield StreamEvent("keepalive")
            await asyncio.sleep(FOLLOW_EVERY_S)
            ring = await self._ring(at)
            new = [entry for entry in ring if str(entry["ts"]) > last]

    async def _follow_samples(self, at: LauncherAddress, last: int) -> AsyncIterator[StreamEvent]:
        while True:
            for sample in (await self.samples(at, since=last)).resources:
                last = sample.ts
                yield StreamEvent("sample", msgspec.json.encode(sample).decode(), str(last))
            yield StreamEvent("keepalive")
            await asyncio.sleep(SAMPLE_EVERY_S)


def page_of(ring: Sequence[Mapping[str, Any]], cursor: str | None, limit: int | None) -> LogAnswer:
    """A page of the ring, oldest first, with the launcher's kind of cursors: they include the entry they name.

    No cursor: the last ones; a stamp: from it on; `-` and a stamp: up to it. Pure.
    """
    most = min(max(limit or PAGE, 1), LARGEST_PAGE)
    if not cursor:
        found = ring[-most:]
    elif cursor.startswith(BACKWARDS):
        found = [entry for entry in ring if str(entry["ts"]) <= cursor[1:]][-most:]
    else:
        found = [entry for entry in ring if str(entry["ts"]) >= cursor][:most]
    meta: dict[str, Any] = {}
    if ring:
        meta = {"first_entry": str(ring[0]["ts"]), "last_entry": str(ring[-1]["ts"])}
    if found:
        meta["next_cursor"] = f"{int(found[-1]['ts']) + 1:017d}"
        if found[0] is not ring[0]:
            meta["previous_cursor"] = f"-{int(found[0]['ts']) - 1:017d}"
    return LogAnswer(meta, list(found))


def _is_stamp(value: object) -> bool:
    return isinstance(value, str) and len(value) == 17 and value.isascii() and value.isdigit()


def _samples(given: object) -> Iterator[Sample]:
    """Those that it could take: one that failed holds an `err` and nothing else."""
    for each in given if isinstance(given, list) else ():
        try:
            sample = msgspec.convert(each, Sample)
        except msgspec.ValidationError:
            continue
        if sample.ps is not None:
            yield sample
