"""Log files that other programs write: kept short, and read when a program has ended without a word."""

from __future__ import annotations

import os
import stat
from pathlib import Path

LIMIT_BYTES = 8 * 1024 * 1024
KEPT_BYTES = 2 * 1024 * 1024
ASIDE_BYTES = 5 * 1024 * 1024
_TAIL_BYTES = 16384


def cap(path: Path, limit_bytes: int = LIMIT_BYTES, kept_bytes: int = KEPT_BYTES) -> bool:
    """Cut a log that has grown beyond `limit_bytes` down to its last lines; whether it was cut.

    Its writers must append (O_APPEND): they go on at the new end. A line written in the same moment may be lost.
    Blocks. Raises OSError.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_size <= limit_bytes:
            return False
        end = os.pread(fd, kept_bytes, found.st_size - kept_bytes)
        os.ftruncate(fd, 0)
        os.write(fd, end[end.find(b"\n") + 1 :])
        return True
    finally:
        os.close(fd)


def set_aside(path: Path, limit_bytes: int = ASIDE_BYTES) -> bool:
    """Give a log that has grown beyond `limit_bytes` the ending `.1`, in place of the one before; whether it was.

    For logs whose writers can be told to open them anew: there are never more than these two. Raises OSError.
    """
    if size(path) <= limit_bytes:
        return False
    path.replace(path.with_suffix(".log.1"))
    return True


def size(path: Path) -> int:
    """In bytes; 0 when it is not there, or may not be looked at."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def tail(path: Path, mark: int = 0) -> str:
    """The end of a log, at most 16 kB, from the byte `mark` on; empty where it can't be read. Never through a link: its
    writer may have put it there."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    with os.fdopen(fd, "rb") as file:
        file.seek(max(mark, os.fstat(fd).st_size - _TAIL_BYTES))
        return file.read(_TAIL_BYTES).decode(errors="replace")
