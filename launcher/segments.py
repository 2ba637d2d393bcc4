"""Log segments on disk: NDJSON files named after their first stamp, capped in size and age.

Writing and reading happen in one thread of their own, in order, so that a read sees all that was handed in
before it. A disk that refuses (full, read-only) costs lines on disk, never Node-RED.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from launcher.files import LARGEST_BYTES, open_regular, read_regular, write_all

SEGMENT_BYTES = 1024 * 1024
TOTAL_BYTES = 16 * 1024 * 1024
AGE_S = 7 * 86400
PENDING_BYTES = 2 * 1024 * 1024
FLUSH_S = 0.5
FLUSH_BYTES = 128 * 1024
RETRY_S = 30.0
_NAME = re.compile(r"(\d{17})\.ndjson")
_STAMP = re.compile(rb'\{"ts":"(\d{17})"')

# A flow may have put a pipe or a link in place of a segment: nobody waits for it, nothing is written elsewhere.
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LINE_BYTES = 1024 * 1024  # much longer than any of ours

Entry = tuple[int, bytes]


class Segments:
    """The segments in one directory. `first_stamp` and `last_stamp` are 0 while there are none."""

    def __init__(self, directory: Path, *, segment_bytes: int = SEGMENT_BYTES, total_bytes: int = TOTAL_BYTES) -> None:
        self.complain: Callable[[str], None] = lambda message: None
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._total_bytes = total_bytes
        self._pending: deque[Entry] = deque()
        self._pending_bytes = 0
        self._lost = 0
        self._timer: asyncio.TimerHandle | None = None
        self._failing = False
        self._writing = False
        self._thread = ThreadPoolExecutor(1, "log")
        self._current: tuple[Path, int] | None = None
        self._retry_at = self._tell_at = 0.0
        self._files = self._open()
        self.last_stamp = self._recover()

    @property
    def first_stamp(self) -> int:
        return self._files[0] if self._files else 0

    def append(self, stamp: int, body: bytes) -> None:
        """Hand in one entry; written within `FLUSH_S`. The oldest pending are lost when the disk is too slow."""
        self._pending.append((stamp, body))
        self._pending_bytes += len(body)
        while self._pending_bytes > PENDING_BYTES:
            self._pending_bytes -= len(self._pending.popleft()[1])
            self._lost += 1
        if self._pending_bytes > FLUSH_BYTES and not self._writing:
            self._flush()
        elif self._timer is None and not self._writing:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self._flush)

    async def read(self, start: int | None, end: int | None, limit: int) -> list[Entry]:
        """Up to `limit` entries: the first from `start` on, or the last up to `end`; oldest first."""
        batch = self._take_pending()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._flush_and_read, batch, start, end, limit)

    def tail(self, limit_bytes: int) -> list[Entry]:
        """The newest entries, about `limit_bytes` of them. Blocks: for the start only."""
        if not self._files:
            return []
        return [entry for entry in _scan(self._path(self._files[-1]), limit_bytes) if _is_json(entry[1])]

    def aside(self, work: Callable[[], None]) -> None:
        """Have the thread do this as well, in its turn; for what a disk may refuse, which costs nothing here."""
        self._thread.submit(work)

    def close(self) -> None:
        """Write what is pending and stop the thread; returns after at most a few seconds of disk time."""
        self._cancel_timer()
        batch = self._take_pending()
        self._thread.submit(self._write, batch)
        self._thread.shutdown(wait=True)

    def _flush(self) -> None:
        self._cancel_timer()
        loop = asyncio.get_running_loop()
        batch = self._take_pending()
        self._writing = True  # one batch at a time, so that a stuck disk holds no more than PENDING_BYTES twice
        loop.run_in_executor(self._thread, self._write, batch).add_done_callback(self._written)

    def _take_pending(self) -> list[Entry]:
        batch = list(self._pending)
        self._pending.clear()
        self._pending_bytes = 0
        return batch

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _written(self, done: asyncio.Future[str]) -> None:
        self._writing = False
        if done.cancelled():
            return
        self._tell(done.result())
        if self._pending_bytes > FLUSH_BYTES:
            self._flush()
        elif self._pending and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self._flush)

    def _tell(self, problem: str) -> None:
        """One entry when the disk begins to refuse, one with the count of what is missing when it is over."""
        if problem and not self._failing:
            self.complain(
                f"Log lines can't be written to disk: {problem}. They are kept in memory only; free some space."
            )
        elif not problem and self._lost and time.monotonic() >= self._tell_at:
            self._tell_at = time.monotonic() + RETRY_S
            self.complain(f"{self._lost} log lines are missing on disk: it was full, or they came too fast.")
            self._lost = 0
        self._failing = bool(problem)

    # What follows runs in the thread (or before it has work).

    def _write(self, batch: list[Entry]) -> str:
        """The problem, or nothing."""
        if not batch:
            return ""
        if time.monotonic() < self._retry_at:
            self._lost += len(batch)
            return "waiting to try again"
        try:
            for part in self._parts(batch):
                self._write_part(part)
            self._prune()
        except OSError as error:
            self._lost += len(batch)
            self._current = None
            self._retry_at = time.monotonic() + RETRY_S
            return error.strerror or str(error)
        return ""

    def _parts(self, batch: list[Entry]) -> Iterator[list[Entry]]:
        part: list[Entry] = []
        size = 0
        for entry in batch:
            part.append(entry)
            size += len(entry[1]) + 1
            if size >= self._segment_bytes:
                yield part
                part, size = [], 0
        if part:
            yield part

    def _write_part(self, part: list[Entry]) -> None:
        path, size = self._segment_for(part[0][0])
        data = b"".join(body + b"\n" for _, body in part)
        fd = os.open(path, _WRITE, 0o600)
        try:
            write_all(fd, data)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(fd, size)  # no half lines
            raise
        finally:
            os.close(fd)
        if not self._files or self._files[-1] != int(path.stem):
            self._files.append(int(path.stem))
        self._current = (path, size + len(data))
        self.last_stamp = part[-1][0]

    def _segment_for(self, stamp: int) -> tuple[Path, int]:
        if self._current is not None and self._current[1] < self._segment_bytes:
            return self._current
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._path(stamp), 0

    def _prune(self) -> None:
        """Delete the oldest segments beyond the total size or the age, never the one in use."""
        total = 0
        keep: list[int] = []
        horizon = time.time() - AGE_S
        for first in reversed(self._files):
            try:
                stat = self._path(first).stat()
            except FileNotFoundError:
                continue
            total += stat.st_size
            if keep and (total > self._total_bytes or stat.st_mtime < horizon):
                self._path(first).unlink(missing_ok=True)
            else:
                keep.append(first)
        self._files = keep[::-1]

    def _open(self) -> list[int]:
        try:
            names = [entry.name for entry in self._directory.iterdir()]
        except OSError:
            return []
        return sorted(int(match[1]) for name in names if (match := _NAME.fullmatch(name)))

    def _recover(self) -> int:
        """Continue the newest segment after its last whole line (a crash may have cut one)."""
        while self._files:
            path = self._path(self._files[-1])
            try:
                data = read_regular(path, LARGEST_BYTES) or b""
                whole = data.rfind(b"\n") + 1
                if whole < len(data):
                    os.truncate(path, whole)
            except OSError:
                return self._files[-1] + SEGMENT_BYTES  # unreadable: no stamp in it can be larger
            stamps = _STAMP.findall(data[:whole])
            if stamps:
                self._current = (path, whole)
                return int(max(stamps))
            path.unlink(missing_ok=True)
            self._files.pop()
        return 0

    def _flush_and_read(self, batch: list[Entry], start: int | None, end: int | None, limit: int) -> list[Entry]:
        self._write(batch)
        entries = self._read_from(start, limit) if start is not None else self._read_until(end, limit)
        return [entry for entry in entries if _is_json(entry[1])]

    def _read_from(self, start: int, limit: int) -> list[Entry]:
        found: list[Entry] = []
        later = [first for first in self._files if first > start]
        earlier = [first for first in self._files if first <= start][-1:]
        for first in earlier + later:
            found += [entry for entry in _scan(self._path(first)) if entry[0] >= start]
            if len(found) >= limit:
                break
        return found[:limit]

    def _read_until(self, end: int | None, limit: int) -> list[Entry]:
        found: list[Entry] = []
        for first in reversed(self._files):
            if end is not None and first > end:
                continue
            found[:0] = [entry for entry in _scan(self._path(first)) if end is None or entry[0] <= end]
            if len(found) >= limit:
                break
        return found[-limit:]

    def _path(self, first: int) -> Path:
        return self._directory / f"{first:017d}.ndjson"


def _is_json(body: bytes) -> bool:
    """The flow can write to these files too: what it spoils must not spoil an answer."""
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _scan(path: Path, tail_bytes: int = 0) -> Iterator[Entry]:
    """The entries of a segment; lines that are not ours are passed over."""
    try:
        with open_regular(path) as file:
            if tail_bytes:
                file.seek(max(0, os.fstat(file.fileno()).st_size - tail_bytes))
            while line := file.readline(_LINE_BYTES):
                if (match := _STAMP.match(line)) and line.endswith(b"}\n"):
                    yield int(match[1]), line[:-1]
    except OSError:
        return
