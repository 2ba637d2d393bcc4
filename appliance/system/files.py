"""Files that are never seen half-written, private directories, and the lock that makes a box run once."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from appliance.errors import Conflict, Unavailable


def write_atomic(path: Path, content: bytes | str, mode: int = 0o644) -> None:
    """Replace `path`: after a crash or a power cut it holds the old or the new content, whole. Raises OSError."""
    encoded = content.encode("utf-8") if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    # A left-over of a crashed writer with our pid must not lend us its mode or be a link elsewhere.
    temporary.unlink(missing_ok=True)
    try:
        _write_new(temporary, encoded, mode)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def _write_new(path: Path, content: bytes, mode: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(fd, mode)
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_directory(path: Path) -> None:
    """Make renames and removals in `path` durable. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_private_dir(path: Path) -> Path:
    """`path` as a directory that only its owner may enter (0700), made when missing. Raises OSError."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.stat().st_mode & 0o077:
        path.chmod(0o700)
    return path


class SingleInstanceLock:
    """An advisory lock held as long as this process lives; the file says which pid holds it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1

    def acquire(self) -> None:
        """Take the lock. Raises Conflict naming the holder, Unavailable when the file can't be made."""
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            hint = "Check that the directory exists and is writable for this account."
            raise Unavailable(f"cannot open {self.path}: {error.strerror}", hint=hint) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            who = f"pid {pid}" if (pid := self.holder()) else "another process"
            hint = "Use the running one, or stop it first: ./dev down"
            raise Conflict(f"Weir already runs for {self.path.parent.parent} as {who}", hint=hint) from None
        self._fd = fd
        os.ftruncate(fd, 0)
        os.write(fd, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def holder(self) -> int | None:
        """The pid that holds the lock now, None when nobody does."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.read(fd, 32).strip()
            return int(text) if text.isdigit() else None
        finally:
            os.close(fd)
        return None
