"""The launcher's routes (instance protocol §2.1–2.4) and the live log stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from launcher import disk
from launcher.inbox import Busy
from launcher.loglines import PAGE_LINES, Line, Log, Subscriber
from launcher.node_red import NodeRed
from launcher.packing import packed
from launcher.samples import Samples
from launcher.schema import Command, Sample, State

if TYPE_CHECKING:
    from launcher.terminal import Terminals
from launcher.web import Bad, Handler, Reply, Request, json_reply

KEEPALIVE_S = 15.0
_DAY_MS = 86_400_000
_BEGINNING = 1  # what somebody asks from who has seen nothing yet
_SAMPLES_AT_ONCE = 100  # encoded in one step: all of them would hold up the loop
_OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Api:
    """Handlers; `shutdown` is called by the command of that name. Before there is a Node-RED to speak of
    the server itself answers 503."""

    def __init__(
        self, directory: Path, log: Log, samples: Samples, started_s: float, shutdown: Callable[[], None]
    ) -> None:
        self._directory = directory
        self._terminals: Terminals | None = None
        self.node_red: NodeRed | None = None
        self._log, self._samples = log, samples
        self._started_s = started_s
        self._shutdown = shutdown

    def routes(self) -> dict[tuple[str, str], Handler]:
        return {
            ("GET", "/flowforge/info"): self.info,
            ("GET", "/flowforge/health-check"): self.health,
            ("GET", "/flowforge/ready"): self.ready,
            ("GET", "/flowforge/startup"): self.startup,
            ("POST", "/flowforge/command"): self.command,
            ("GET", "/flowforge/logs"): self.logs,
            ("GET", "/flowforge/logs/entries"): self.entries,
            ("GET", "/flowforge/logs/stream"): self.stream,
            ("GET", "/weir/disk"): self.disk,
            ("GET", "/weir/shell"): self.shell,
            ("GET", "/flowforge/resources"): self.resources,
            ("GET", "/flowforge/resources/stream"): self.resources_stream,
            ("GET", "/weir/files"): self.files,
        }

    async def info(self, request: Request) -> Reply:
        return json_reply(self._node_red().info())

    async def health(self, request: Request) -> Reply:
        up = self._node_red().process is not None
        return Reply(200, b"OK", "text/plain") if up else Reply(500, b"Node-RED is not running", "text/plain")

    async def ready(self, request: Request) -> Reply:
        ready = self._node_red().info().state in (State.STARTING, State.RUNNING, State.SAFE)
        return Reply(200 if ready else 503, b"", "text/plain")

    async def startup(self, request: Request) -> Reply:
        durations = self._node_red().status.durations_ms
        lines = ["# TYPE nr_created_timestamp gauge", f"nr_created_timestamp {self._started_s:.3f}"]
        for state, name in (("loading", "loading"), ("installing", "installing"), ("starting", "startup")):
            if state in durations or (state == "installing" and durations):
                metric = f"nr_{name}_duration_ms"
                lines += [f"# TYPE {metric} gauge", f"{metric} {durations.get(state, 0):.0f}"]
        return Reply(200, "\n".join([*lines, "# EOF", ""]).encode(), _OPENMETRICS)

    async def command(self, request: Request) -> Reply:
        try:
            command = msgspec.json.decode(request.body, type=Command)
        except msgspec.DecodeError as error:
            raise Bad(400, "bad_request", f"not a command: {error}") from error
        if command.cmd == "shutdown":
            self._shutdown()
            return json_reply({})
        if command.cmd not in ("start", "stop", "restart", "logout"):
            return json_reply({}, 404)
        node_red = self._node_red()
        # A start that carries a wish is repeated until it is seen carried out: that is no conflict.
        if command.cmd == "start" and command.generation is None and node_red.process is not None:
            return json_reply({"err": "Already running"}, 409)
        try:
            node_red.submit(command)
        except Busy as error:
            raise Bad(503, "unavailable", f"{error}; try again") from error
        return json_reply({})

    async def logs(self, request: Request) -> Reply:
        if "start" in request.query:
            return Reply(chunks=self._day(_start_ms(request)), content_type="application/octet-stream")
        lines = self._log.recent()
        return Reply(200, b"[" + b",".join(line.body for line in lines) + b"]")

    async def entries(self, request: Request) -> Reply:
        limit = request.query.get("limit", "")
        page = await self._log.page(
            request.query.get("cursor", ""), int(limit[:9]) if limit.isascii() and limit.isdigit() else 100
        )
        return json_reply(page)

    async def stream(self, request: Request) -> Reply:
        """Entries as they come; with `cursor` (or Last-Event-ID, exclusive) first those since then, after `reset` when
        some of them may be gone."""
        last = request.headers.get("last-event-id", "")
        start = str(int(last) + 1) if _is_cursor(last) else request.query.get("cursor", "")
        if start and not _is_cursor(start):
            raise Bad(400, "bad_request", "cursor: 17 digits, as in the id of an event")
        return Reply(chunks=self._events(int(start) if start else None), content_type="text/event-stream")

    async def shell(self, request: Request) -> Reply:
        """A terminal; the client waits for the answer before it types. See `launcher.terminal`."""
        from launcher.terminal import Terminals  # most launchers never need it

        if request.headers.get("upgrade", "").lower() != "weir-shell":
            raise Bad(400, "bad_request", "ask for it with 'Upgrade: weir-shell'")
        self._terminals = self._terminals or Terminals(self._directory)
        self._terminals.check()
        return Reply(takes=self._terminals.serve)

    async def disk(self, request: Request) -> Reply:
        """What the instance takes of the disk: it can be seen from here alone."""
        return json_reply(await disk.use(self._directory))

    async def resources(self, request: Request) -> Reply:
        """Samples, oldest first: all, or those after `since` (ms); of these the last `limit`. Asked for as a WebSocket
        each new one is a frame."""
        if request.headers.get("upgrade", "").lower() == "websocket":
            return Reply(frames=self._frames())
        first = self._first_after(request.query.get("since", ""))
        if limit := _number(request, "limit"):
            first = max(first, self._samples.ring.count - limit)
        return Reply(chunks=self._history(first))

    async def resources_stream(self, request: Request) -> Reply:
        """Samples as they come, first those after Last-Event-ID or `since`; after `reset` when these begin later."""
        last = request.headers.get("last-event-id", "")
        since = last if last.isascii() and last.isdigit() else request.query.get("since", "")
        first = self._first_after(since) if since else self._samples.ring.count
        gone = int(since or 0) > 0 and not self._samples.ring.reaches(int(since))
        return Reply(chunks=self._sample_events(first, gone), content_type="text/event-stream")

    async def files(self, request: Request) -> Reply:
        """The instance's files as a tar, for a backup; with `packages=1` the installed modules too."""
        packages = request.query.get("packages") == "1"
        return Reply(chunks=packed(self._directory, packages=packages), content_type="application/x-tar")

    def _node_red(self) -> NodeRed:
        if self.node_red is None:
            raise Bad(503, "unavailable", "the launcher is starting; try again")
        return self.node_red

    def _first_after(self, since: str) -> int:
        """The number of the first sample after a time; of the oldest when there is none."""
        if not since:
            return self._samples.ring.oldest
        if not (since.isascii() and since.isdigit() and len(since) <= 15):
            raise Bad(400, "bad_request", "since: milliseconds since 1970, as in `ts` of a sample")
        return self._samples.ring.after(int(since))

    async def _history(self, first: int) -> AsyncIterator[bytes]:
        ring, count = self._samples.ring, 0
        last = ring.count
        yield b'{"meta":{},"resources":['
        while first < last:
            numbers = range(max(first, ring.oldest), min(first + _SAMPLES_AT_ONCE, last))
            bodies = [msgspec.json.encode(ring.get(number)) for number in numbers]
            if bodies:
                yield (b"," if count else b"") + b",".join(bodies)
            count += len(bodies)
            first += _SAMPLES_AT_ONCE
            await asyncio.sleep(0)
        yield b'],"count":%d}' % count

    async def _frames(self) -> AsyncIterator[bytes]:
        async for sample in self._samples.follow(self._samples.ring.count, KEEPALIVE_S):
            yield msgspec.json.encode(sample) if sample is not None else b""

    async def _sample_events(self, first: int, gone: bool) -> AsyncIterator[bytes]:
        yield b": weir samples\n\n"
        if gone:  # older than what is kept, or from before this launcher
            yield b"event: reset\ndata: {}\n\n"
        async for sample in self._samples.follow(first, KEEPALIVE_S):
            yield _sample_event(sample) if sample is not None else b": keepalive\n\n"

    async def _events(self, start: int | None) -> AsyncIterator[bytes]:
        with self._log.subscribe() as subscriber:
            yield b": weir log\n\n"
            if start is not None and _BEGINNING < start < (first := self._log.first):
                # The entry that the client saw last was cleared away, and who knows what else since then.
                yield b'event: reset\ndata: {"first":"%017d"}\n\n' % first
            sent = 0
            while start is not None and (lines := await self._log.forward(start, PAGE_LINES)):
                yield b"".join(map(_event, lines))
                sent = lines[-1].stamp
                start = sent + 1
                if sent >= self._log.last:
                    subscriber.skip()  # sent already: what it lost of this is no loss
            while True:
                yield await _next_events(subscriber, sent)

    async def _day(self, start_ms: int) -> AsyncIterator[bytes]:
        cursor, end = start_ms * 10_000, (start_ms // _DAY_MS + 1) * _DAY_MS * 10_000
        while lines := await self._log.forward(cursor, PAGE_LINES):
            yield b"".join(line.body + b"\n" for line in lines if line.stamp < end)
            cursor = lines[-1].stamp + 1
            if cursor >= end:
                return


async def _next_events(subscriber: Subscriber, sent: int) -> bytes:
    """The next batch of live events; what a replay has already sent is left out."""
    lines, dropped = await subscriber.take(KEEPALIVE_S)
    events = [_event(line) for line in lines if line.stamp > sent]
    if dropped:
        events.insert(0, b'event: dropped\ndata: {"count":%d}\n\n' % dropped)
    await asyncio.sleep(0)
    return b"".join(events) or b": keepalive\n\n"


def _event(line: Line) -> bytes:
    return b"id: %s\nevent: log\ndata: %s\n\n" % (line.cursor.encode(), line.body)


def _sample_event(sample: Sample) -> bytes:
    return b"id: %d\nevent: sample\ndata: %s\n\n" % (sample.ts, msgspec.json.encode(sample))


def _number(request: Request, name: str) -> int | None:
    """A natural number of the query; None without one."""
    text = request.query.get(name, "")
    if text and not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise Bad(400, "bad_request", f"{name}: a number")
    return int(text) if text else None


def _is_cursor(text: str) -> bool:
    return len(text) == 17 and text.isascii() and text.isdigit()


def _start_ms(request: Request) -> int:
    text = request.query["start"]
    if not (text.isascii() and text.isdigit() and len(text) <= 13):
        raise Bad(404, "ENOTFOUND", "start: milliseconds since 1970")
    return int(text)
