"""Files that are never seen half-written."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from pathlib import Path
from typing import BinaryIO

# Of this module, of the appliance's, and of plugins/disk.js: the number is the writer's pid.
_TEMPORARY = re.compile(r".+\.(\d{1,10})(\.\d{1,10})?\.tmp")


LARGEST_BYTES = 64 * 1024 * 1024


def write_atomic(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace `path`: after a crash it holds the old or the new content, whole. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)  # a pipe of that name, made by a flow, would hold us up for ever
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
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


def sweep(directory: Path) -> None:
    """Remove what writers left in `directory` that were killed before they were done. Those that live keep theirs.
    Never fails: what can't be removed is in nobody's way."""
    with contextlib.suppress(OSError):
        for path in list(directory.iterdir()):
            left = _TEMPORARY.fullmatch(path.name)
            if left and not Path("/proc", left[1]).exists():
                with contextlib.suppress(OSError):
                    path.unlink()


def write_all(fd: int, content: bytes) -> None:
    """Write everything, however often the kernel takes only a part. Raises OSError."""
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]


def read_if_there(path: Path) -> bytes | None:
    """The content, or None where the file is missing. Raises OSError, also for what is no plain file or is larger than
    `LARGEST_BYTES`; a link is followed."""
    content = _read(path, LARGEST_BYTES + 1, 0)
    if content is not None and len(content) > LARGEST_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return content


def read_regular(path: Path, limit: int) -> bytes | None:
    """The first `limit` bytes, or None where the file is missing. Raises OSError, also for what is no plain file:
    another program of our user may have put a pipe or a link there, to make us wait or read elsewhere."""
    return _read(path, limit, os.O_NOFOLLOW)


def open_regular(path: Path, flags: int = os.O_NOFOLLOW) -> BinaryIO:
    """To be read. Raises OSError, also for what is no plain file; never waits for the other end of a pipe."""
    fd = os.open(path, os.O_RDONLY | flags | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a plain file", str(path))
    return open(fd, "rb")  # noqa: PTH123, SIM115 - a descriptor, no path; the caller closes it


def _read(path: Path, limit: int, flags: int) -> bytes | None:
    try:
        with open_regular(path, flags) as stream:
            return stream.read(limit)
    except FileNotFoundError:
        return None


def write_durable(path: Path, content: bytes) -> None:
    """As `write_changed`, and on the disk under its name when it returns, whatever happens to the power."""
    if _says(path, content):
        return
    write_atomic(path, content)
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_changed(path: Path, content: bytes, mode: int = 0o600) -> None:
    """As `write_atomic`, but a file that already says so is left alone: flash wears out. Raises OSError."""
    if not _says(path, content):
        write_atomic(path, content, mode)


def _says(path: Path, content: bytes) -> bool:
    """What can't be read, or is something else than a file, is to be replaced."""
    with contextlib.suppress(OSError):
        return read_regular(path, len(content) + 1) == content
    return False
