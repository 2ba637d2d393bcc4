"""Log lines: cut from chunks, stamped, kept in a ring and in segments, handed to live readers.

The reader of Node-RED's output never waits: the ring forgets its oldest, the disk may fall behind and a slow
live reader loses lines; each loss is counted and told.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from launcher import last_words
from launcher.schema import LogPageMeta
from launcher.segments import Segments

LINE_BYTES = 16 * 1024
RING_LINES = 1000
RING_BYTES = 1024 * 1024
SUBSCRIBER_LINES = 1000
PAGE_LINES = 500
TAIL_LINES = 20
TAIL_BYTES = 32 * 1024
KEEP_EVERY_S = 30.0
MSG_DEPTH = 50  # lists within lists; more than that a reader with less stack than ours might not decode
_LEVELS = {10: "fatal", 20: "error", 30: "warn", 40: "info", 50: "debug", 60: "trace", 98: "audit", 99: "metric"}
_ENTRY_FIELDS = ("level", "type", "name", "id", "msg")
_BACK_IN_TIME_MS = 60_000


class Splitter:
    """Cuts chunks into lines of at most `limit` bytes; the rest of a longer line is dropped and counted."""

    def __init__(self, take: Callable[[bytes], None], limit: int = LINE_BYTES) -> None:
        self._take = take
        self._limit = limit
        self._rest = bytearray()
        self._dropped = 0

    def feed(self, chunk: bytes) -> None:
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            self._hold(chunk[start:end])
            self.flush()
            start = end + 1
        self._hold(chunk[start:])

    def flush(self) -> None:
        """End the line that is being held, as at a newline."""
        line = bytes(self._rest).rstrip(b"\r")
        if self._dropped:
            line += b" [%d bytes cut]" % self._dropped
        self._rest.clear()
        self._dropped = 0
        if line:
            self._take(line)

    def _hold(self, piece: bytes) -> None:
        room = self._limit - len(self._rest)
        self._rest += piece[:room]
        self._dropped += max(0, len(piece) - room)


class Line(Struct, frozen=True):
    """One stamped entry: `stamp` is the 17-digit cursor as a number, `body` its JSON."""

    stamp: int
    body: bytes

    @property
    def cursor(self) -> str:
        return f"{self.stamp:017d}"


class Subscriber:
    """A live reader: bounded, loses the oldest, knows how many."""

    def __init__(self, limit: int = SUBSCRIBER_LINES) -> None:
        self._lines: deque[Line] = deque(maxlen=limit)
        self._wake = asyncio.Event()
        self._dropped = 0

    def offer(self, line: Line) -> None:
        self._dropped += len(self._lines) == self._lines.maxlen
        self._lines.append(line)
        self._wake.set()

    def skip(self) -> None:
        """Forget what waits: its reader got all of it in another way."""
        self._lines.clear()
        self._dropped = 0

    async def take(self, timeout_s: float) -> tuple[list[Line], int]:
        """What has come since the last call and how many were lost; empty after `timeout_s` of silence."""
        if not self._lines:
            self._wake.clear()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._wake.wait()
            except TimeoutError:
                return [], 0
        lines, dropped = list(self._lines), self._dropped
        self._lines.clear()
        self._dropped = 0
        return lines, dropped


class Page(Struct, frozen=True):
    """Entries oldest first, with the cursors of the pages before and after."""

    meta: LogPageMeta
    logs: list[msgspec.Raw]


class Log:
    """All log entries of one instance. Every entry has a stamp of its own, growing even over restarts and
    when the clock steps back."""

    def __init__(
        self, segments: Segments, source: str, now: Callable[[], float] = time.time, kept: Path | None = None
    ) -> None:
        """`kept`: where the end of a log that lies in memory is kept on the disk."""
        self._kept, self._kept_stamp, self._keep_at = kept, 0, 0.0
        self._segments = segments
        self._source = source
        self._now = now
        self._ring: deque[Line] = deque()
        self._ring_bytes = 0
        self._subscribers: set[Subscriber] = set()
        for line in _tail(segments.tail(RING_BYTES // 2), RING_LINES):
            self._keep(line)
        self._last = max(segments.last_stamp, self._ring[-1].stamp if self._ring else 0)
        segments.complain = self.system

    def system(self, message: str) -> None:
        """An entry of the launcher itself."""
        self._add(None, {"level": "system", "msg": message})

    def last_words(self, message: str) -> None:
        """An entry of the launcher itself, with which the end of the log is worth keeping."""
        self.system(message)
        if time.monotonic() >= self._keep_at:  # one that ends every few seconds wears out no disk
            self._keep_at = time.monotonic() + KEEP_EVERY_S
            self._keep_end()

    def output(self, raw: bytes) -> None:
        """A line that Node-RED wrote: a JSON entry of our console handler, else plain text."""
        entry = _entry(raw)
        if entry is None:
            self._add(None, {"msg": raw.decode("utf-8", "replace")})
        else:
            self._add(entry.pop("ts", None), entry)

    def recent(self, count: int = RING_LINES) -> list[Line]:
        """The newest entries in memory, oldest first."""
        return list(self._ring)[-count:]

    @property
    def last(self) -> int:
        """The stamp of the newest entry."""
        return self._last

    @property
    def first(self) -> int:
        """The stamp of the oldest entry that is still there; 0 while there is none."""
        there = (self._segments.first_stamp, self._ring[0].stamp if self._ring else 0)
        return min((stamp for stamp in there if stamp), default=0)

    def tail(self, after: int) -> list[bytes]:
        """The end of what came after a stamp, oldest first: at most `TAIL_LINES` entries and `TAIL_BYTES`."""
        found: deque[bytes] = deque()
        room = TAIL_BYTES
        for line in self.recent(TAIL_LINES)[::-1]:
            room -= len(line.body)
            if line.stamp <= after or room < 0:
                break
            found.appendleft(line.body)
        return list(found)

    @contextmanager
    def subscribe(self) -> Iterator[Subscriber]:
        subscriber = Subscriber()
        self._subscribers.add(subscriber)
        try:
            yield subscriber
        finally:
            self._subscribers.discard(subscriber)

    async def forward(self, cursor: int, limit: int) -> list[Line]:
        """Up to `limit` entries with stamp >= cursor, oldest first."""
        while not self._ring or cursor < self._ring[0].stamp:
            newest = self._last
            old = await self._segments.read(cursor, None, limit)
            # A flood may have pushed the whole ring out meanwhile: what lies between would be left out.
            if not self._ring or self._ring[0].stamp <= newest:
                return _first(_merge(old, (line for line in self._ring if line.stamp >= cursor)), limit)
            if old:
                return [Line(stamp, body) for stamp, body in old]
        return _first((line for line in self._ring if line.stamp >= cursor), limit)

    async def backward(self, cursor: int | None, limit: int) -> list[Line]:
        """Up to `limit` entries with stamp <= cursor (None: the newest), oldest first."""
        held = [line for line in self._ring if cursor is None or line.stamp <= cursor]
        if len(held) >= limit:
            return held[-limit:]
        old = await self._segments.read(None, cursor, limit)
        return _merge(old, held)[-limit:]

    async def page(self, cursor: str, limit: int) -> Page:
        """The page of instance protocol §2.3; an invalid cursor gives an empty page."""
        limit = max(1, min(PAGE_LINES, limit))
        digits = cursor.removeprefix("-")
        if cursor and not (len(digits) == 17 and digits.isascii() and digits.isdigit()):
            return Page(LogPageMeta(), [])
        if cursor == digits and cursor:
            lines = await self.forward(int(digits), limit)
        else:
            lines = await self.backward(int(digits) if digits else None, limit)
        return Page(self._meta(lines), [msgspec.Raw(line.body) for line in lines])

    def close(self) -> None:
        """Write what is pending to disk."""
        self._keep_end()
        self._segments.close()

    def _keep_end(self) -> None:
        """Nothing where the log lies on the disk anyway, or where nothing was added."""
        if self._kept is None or self._kept_stamp == self._last:
            return
        path, bodies, self._kept_stamp = self._kept, [line.body for line in self._ring], self._last

        def write() -> None:
            with suppress(OSError):  # a full disk: the log is in memory still
                last_words.keep(path, bodies)

        self._segments.aside(write)

    def _meta(self, lines: list[Line]) -> LogPageMeta:
        if not lines:
            return LogPageMeta()
        first = self._segments.first_stamp or (self._ring[0].stamp if self._ring else lines[0].stamp)
        return LogPageMeta(f"{first:017d}", f"{lines[-1].stamp + 1:017d}", f"-{lines[0].stamp - 1:017d}")

    def _add(self, given_ms: object, entry: dict[str, Any]) -> None:
        self._last = stamp = self._stamp(given_ms)
        body = msgspec.json.encode({"ts": f"{stamp:017d}", **entry, "src": self._source})
        line = Line(stamp, body)
        self._keep(line)
        for subscriber in self._subscribers:
            subscriber.offer(line)
        self._segments.append(stamp, body)

    def _stamp(self, given_ms: object) -> int:
        """Node-RED's time where it is believable, never smaller than the last stamp: a flow that prints a
        far future time must not spoil the cursors of all that follows."""
        ms = now_ms = int(self._now() * 1000)
        if isinstance(given_ms, int) and now_ms - _BACK_IN_TIME_MS <= given_ms <= now_ms:
            ms = given_ms
        return max(ms * 10_000, self._last + 1)

    def _keep(self, line: Line) -> None:
        self._ring.append(line)
        self._ring_bytes += len(line.body)
        while len(self._ring) > RING_LINES or self._ring_bytes > RING_BYTES:
            self._ring_bytes -= len(self._ring.popleft().body)


def _entry(raw: bytes) -> dict[str, Any] | None:
    if not (raw.startswith(b"{") and raw.endswith(b"}")):
        return None
    try:
        document = msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return None
    if "msg" not in document:
        return None
    if not _is_shallow(document["msg"], MSG_DEPTH):
        return None
    entry = {name: document[name] for name in _ENTRY_FIELDS if isinstance(document.get(name), str)}
    entry["msg"] = document["msg"]
    level = document.get("level")
    if isinstance(level, int):
        entry["level"] = _LEVELS.get(level, "info")
    if isinstance(document.get("ts"), int):
        entry["ts"] = document["ts"]
    return entry


def _is_shallow(value: object, depth: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return depth > 0 and all(_is_shallow(each, depth - 1) for each in inner)


def _tail(lines: Iterable[tuple[int, bytes]], limit: int) -> list[Line]:
    # Only what is in order: a flow can write to the files, and a page must not go back in time.
    found: list[Line] = []
    for stamp, body in lines:
        if not found or stamp > found[-1].stamp:
            found.append(Line(stamp, body))
    return found[-limit:]


def _first(lines: Iterable[Line], limit: int) -> list[Line]:
    taken: list[Line] = []
    for line in lines:
        if len(taken) == limit:
            break
        taken.append(line)
    return taken


def _merge(old: Iterable[tuple[int, bytes]], held: Iterable[Line]) -> list[Line]:
    """Disk and ring overlap, and either may miss some: the disk when it was full, the ring when it was short."""
    lines = {stamp: Line(stamp, body) for stamp, body in old}
    lines.update((line.stamp, line) for line in held)
    return [lines[stamp] for stamp in sorted(lines)]
