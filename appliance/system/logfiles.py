"""Log files that others hold open for appending are kept short while they are written."""

from __future__ import annotations

import os
import stat
from pathlib import Path

LIMIT_BYTES = 8 * 1024 * 1024
KEPT_BYTES = 2 * 1024 * 1024


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
