"""Scratch directories of backups: below the state of the box, for it alone, and gone with whoever made them."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.errors import Unavailable, WeirError
from appliance.system.files import make_private_dir, remove_all, sync_directory

_NAME = "work"


@contextmanager
def scratch(state: Path, what: str) -> Iterator[Path]:
    """An empty private directory below `state`, removed at the end. What was left by processes that were killed is
    removed first: it holds secrets in clear. Raises OSError."""
    parent = make_private_dir(state / _NAME)
    sweep(state)
    directory = parent / f"{what}-{os.getpid()}"
    directory.mkdir(mode=0o700)
    try:
        yield directory
    finally:
        remove_all(directory)


def sweep(state: Path) -> None:
    """Remove scratch directories whose process is gone. Raises OSError."""
    for left in (state / _NAME).glob("*-*"):
        if not Path("/proc", left.name.rpartition("-")[2]).exists():
            remove_all(left)


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its name at the end of the block, and only then; on the disk then.

    Raises OSError.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        yield temporary
        fd = os.open(temporary, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        temporary.replace(path)
        with contextlib.suppress(OSError):  # some file systems of sticks can't sync a directory
            sync_directory(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def need_room(directory: Path, wanted_bytes: int, what: str) -> None:
    """Raises Unavailable `disk_full` when the disk of `directory` has less free."""
    free = shutil.disk_usage(directory).free
    if free < wanted_bytes:
        raise Unavailable(
            f"{what} needs {_mb(wanted_bytes)} in {directory}, where {_mb(free)} are free.",
            code="disk_full",
            hint="Free some space there, or name another folder; nothing was changed.",
        )


def translated(error: OSError, where: Path) -> WeirError:
    """What a file that can't be written means for people."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    said = "The disk is full" if full else f"{error.strerror or error}"
    return Unavailable(
        f"{said}: {error.filename or where}.",
        code="disk_full" if full else "not_written",
        hint="Free some space there, or name another folder."
        if full
        else "Look at the disk: df, dmesg, and its rights.",
    )


def _mb(count: int) -> str:
    return f"{count / 1e6:.0f} MB"
