"""Files that are never seen half-written."""

from __future__ import annotations

import os
from pathlib import Path


def write_atomic(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace `path`: after a crash it holds the old or the new content, whole. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        try:
            os.fchmod(fd, mode)
            write_all(fd, content)
            os.fsync(fd)
        finally:
            os.close(fd)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def write_all(fd: int, content: bytes) -> None:
    """Write everything, however often the kernel takes only a part. Raises OSError."""
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]


def read_if_there(path: Path) -> bytes | None:
    """The content, or None where the file is missing."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def write_changed(path: Path, content: bytes, mode: int = 0o600) -> None:
    """As `write_atomic`, but a file that already says so is left alone: flash wears out. Raises OSError."""
    if read_if_there(path) != content:
        write_atomic(path, content, mode)
