"""Audit events that the appliance has not taken yet, on the disk: they outlast the sudden death of this process.

Written only while the appliance is away, so that flash does not wear in normal operation. Node-RED shares our user and
may write into the file; so each line carries a mark (keyed BLAKE2) under a key that the appliance gives to launchers
alone, and a line without a good one is passed on as what the flow said. States are not kept: that of a launcher that
died is no longer true, and its successor tells its own.
"""

from __future__ import annotations

import contextlib
import logging
import os
from _operator import _compare_digest  # what hmac.compare_digest is, without loading OpenSSL
from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import Raw, Struct

from launcher.files import read_regular, write_all, write_atomic

log = logging.getLogger(__name__)

FILE_BYTES = 2 * 1024 * 1024
_LINES = 1000
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Entry(Struct, frozen=True):
    """A queued audit event: `id` is that of its request, `body` the JSON to send. `mark` None: it is our own."""

    id: str
    body: Raw
    mark: str | None = None


class Spool:
    """The file of one instance. `key` is empty until the appliance has given it; no method raises OSError."""

    def __init__(self, path: Path) -> None:
        self.key = ""
        self._path = path
        self._written: int | None = None  # bytes in the file; None: it is not in use
        self._complained = self._stale = False

    @property
    def in_use(self) -> bool:
        """Whether what is queued now has to be added."""
        return self._written is not None

    def begin(self, queue: Iterable[Entry]) -> None:
        """Put down all that is queued, in place of what is there."""
        content = b"".join(self._line(entry) for entry in queue)
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomic(self._path, content)
        except OSError as error:
            self._failed(error)
        else:
            self._written = len(content)

    def add(self, entry: Entry, queue: Iterable[Entry]) -> None:
        """Put down one more; a file that has grown too long is written anew from `queue`, which holds it."""
        line = self._line(entry)
        if self._written is None or self._written + len(line) > FILE_BYTES:
            self.begin(queue)
            return
        try:
            fd = os.open(self._path, _FLAGS, 0o600)
            try:
                write_all(fd, line)
            finally:
                os.close(fd)
        except OSError as error:
            self._failed(error)
        else:
            self._written += len(line)

    def clear(self) -> None:
        """All is delivered."""
        if self._written is not None or self._stale:
            self._written, self._stale = None, False
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)

    def left(self) -> list[Entry]:
        """What an earlier launcher left, in order; which of it is its own `proves` says once there is a key."""
        try:
            content = read_regular(self._path, FILE_BYTES) or b""
        except OSError as error:
            log.warning("reports that were kept in %s can't be read: %s", self._path, error.strerror)
            return []
        if content:
            self._written = len(content)  # to be removed once they are delivered
        return [entry for line in content.splitlines()[:_LINES] if (entry := _entry(line)) is not None]

    def proves(self, entry: Entry) -> bool:
        """Whether a launcher of this instance wrote the line."""
        return bool(self.key) and _compare_digest((entry.mark or "").encode(), self._mark(entry).encode())

    def _line(self, entry: Entry) -> bytes:
        # What was found without a mark gets none: it would become the launcher's word.
        mark = self._mark(entry) if entry.mark is None else entry.mark
        return msgspec.json.encode(Entry(entry.id, entry.body, mark)) + b"\n"

    def _mark(self, entry: Entry) -> str:
        if not self.key:
            return ""
        key = self.key.encode()[:64]
        try:
            from _blake2 import blake2b  # type: ignore[import-not-found,unused-ignore]  # hashlib would load OpenSSL
        except ImportError:
            from hashlib import blake2b
        return str(blake2b(entry.id.encode() + b"\n" + bytes(entry.body), key=key, digest_size=32).hexdigest())

    def _failed(self, error: OSError) -> None:
        self._stale = True  # what is there may be whole, and is worth more than nothing until all is delivered
        if not self._complained:
            log.warning("reports can't be kept in %s: %s; they wait in memory", self._path, error.strerror)
        self._complained = True
        self._written = None


def _entry(line: bytes) -> Entry | None:
    try:
        entry = msgspec.json.decode(line, type=Entry)
        event = msgspec.json.decode(entry.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(event, dict) or not 0 < len(entry.id) <= 64 or not entry.id.isalnum():
        return None
    return Entry(entry.id, entry.body, entry.mark or "")
