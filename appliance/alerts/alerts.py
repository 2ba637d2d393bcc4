"""Gathers what people have to be told, and tells it: soon, not twice, and never as a flood."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from appliance.alerts import sender
from appliance.alerts.message import PARTLY, Change, Digest, merged
from appliance.alerts.sender import Way
from appliance.errors import WeirError
from appliance.events import Bus, Event
from appliance.schema.box import Problem
from appliance.schema.operations import AlertsStatus, AlertsTested, AlertTried
from appliance.system.files import write_atomic

log = logging.getLogger(__name__)

MOST_WAITING = 200
MOST_TOLD = 1000
MOST_MESSAGES = 20  # for a receiver that is away; then the oldest is given up
TRIES_S = (15.0, 60.0, 300.0, 900.0)  # then the message is given up, and that is a problem of its own
STARTED_S = 300.0  # problems of before a start are raised again within this time, or are over
OWN = "alerts_failing:"

Send = Callable[[Way, Digest], Awaitable[None]]
RaiseOrClear = Callable[..., None]


class Alerts:
    """`run` is its only sender. What was told is remembered in `file`, so that a start tells nobody anything anew."""

    def __init__(
        self,
        ways: Sequence[Way],
        *,
        file: Path,
        bus: Bus,
        clock: Callable[[], datetime],
        box: Callable[[], str],
        raise_condition: RaiseOrClear,
        clear_condition: RaiseOrClear,
        settle_s: float = 10.0,
        every_s: float = 300.0,
        tries_s: Sequence[float] = TRIES_S,
        started_s: float = STARTED_S,
        send: Send = sender.send,
    ) -> None:
        self._ways = ways
        self._file = file
        self._clock = clock
        self._box = box
        self._raise, self._clear = raise_condition, clear_condition
        self._settle_s, self._every_s, self._tries_s, self._started_s = settle_s, every_s, tries_s, started_s
        self._send = send
        self._told: dict[str, Problem] = {}
        self._seen: set[str] = set()  # raised since the start
        self._waiting: deque[Change] = deque()
        self._dropped = 0
        self._wake = asyncio.Event()
        self._failing: dict[str, str] = {}
        self._outboxes = {way.name: asyncio.Queue[Digest](MOST_MESSAGES) for way in ways}
        if ways:
            self._told = _read(file)
            bus.listen(self._hear)

    def status(self) -> AlertsStatus:
        """Where problems are told, and how that goes."""
        return AlertsStatus([way.name for way in self._ways], len(self._waiting), dict(self._failing))

    async def test(self) -> AlertsTested:
        """Tell every way that this is a test, now and once."""
        digest = Digest(self._box(), (), test=True)
        tried = await asyncio.gather(*(self._try(way, digest) for way in self._ways))
        return AlertsTested([each for each, _ in tried])

    async def run(self) -> None:
        """For ever: gather, send, and leave the receivers alone for a while. A receiver that is away holds up nobody
        but itself."""
        asyncio.get_running_loop().call_later(self._started_s, self._forget_old)
        async with asyncio.TaskGroup() as group:
            for way, waiting in self._outboxes.items():
                group.create_task(self._empty(way, waiting), name=f"alerts by {way}")
            await self._gather()

    async def _gather(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(self._settle_s)
            self._wake.clear()
            digest = self._gathered()
            if digest is None:
                continue
            for waiting in self._outboxes.values():
                if waiting.full():
                    waiting.get_nowait()
                waiting.put_nowait(digest)
            await asyncio.to_thread(self._keep)
            await asyncio.sleep(self._every_s)

    async def _empty(self, name: str, waiting: asyncio.Queue[Digest]) -> None:
        way = next(way for way in self._ways if way.name == name)
        while True:
            await self._deliver(way, await waiting.get())

    def _hear(self, event: Event) -> None:
        if event.kind == "problem.raised" and isinstance(event.body, Problem):
            self._seen.add(event.key)
            if event.key not in self._told:
                self._add(Change(False, event.body, self._now()))
        elif event.kind == "problem.cleared":
            self._over(event.key)

    def _over(self, key: str) -> None:
        known = self._told.get(key) or next((each.problem for each in self._waiting if each.problem.key == key), None)
        if known is not None:
            self._add(Change(True, known, self._now()))

    def _add(self, change: Change) -> None:
        if change.problem.key.startswith(OWN):
            return  # that a way fails can't be told by that way, and people see it on the box
        self._waiting.append(change)
        if len(self._waiting) > MOST_WAITING:
            self._waiting.popleft()
            self._dropped += 1
        self._wake.set()

    def _gathered(self) -> Digest | None:
        changes = [each for each in merged(self._waiting) if each.over == (each.problem.key in self._told)]
        dropped, self._dropped = self._dropped, 0
        self._waiting.clear()
        if not changes and not dropped:
            return None
        for change in changes:
            if change.over:
                self._told.pop(change.problem.key, None)
            elif len(self._told) < MOST_TOLD:
                self._told[change.problem.key] = change.problem
        return Digest(self._box(), tuple(changes), dropped)

    def _forget_old(self) -> None:
        """What was told before the start and was not found again is over."""
        for key in [key for key in self._told if key not in self._seen]:
            self._over(key)

    async def _deliver(self, way: Way, digest: Digest) -> None:
        for pause_s in (*self._tries_s, None):
            tried, again = await self._try(way, digest)
            if not tried.error:
                self._failing.pop(way.name, None)
                self._clear(f"{OWN}{way.name}")
                return
            self._failing[way.name] = tried.error
            self._raise(
                f"{OWN}{way.name}",
                title=f"People can't be told of problems by {way.name}",
                cause=tried.error,
                evidence=f"{len(digest.changes)} changes were to be told",
                next_step="Check [alerts] in config.toml; to try it: weir alerts test",
            )
            if not again:
                return
            if pause_s is not None:
                await asyncio.sleep(pause_s)
        log.warning("a message with %d changes was given up: %s", len(digest.changes), way.name)

    async def _try(self, way: Way, digest: Digest) -> tuple[AlertTried, bool]:
        """How it went, and whether it is to be tried again when it went wrong."""
        try:
            await self._send(way, digest)
        except (WeirError, OSError) as error:
            return AlertTried(way.name, str(error)), getattr(error, "code", "") != PARTLY
        return AlertTried(way.name), True

    def _keep(self) -> None:
        """A full disk costs a message that is told twice after the next start."""
        try:
            write_atomic(self._file, msgspec.json.encode(self._told), 0o600)
        except OSError as error:
            log.warning("what was told can't be kept: %s", error)

    def _now(self) -> str:
        return self._clock().isoformat(timespec="seconds")


def _read(file: Path) -> dict[str, Problem]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Problem])
    except (OSError, msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError):
        return {}
