"""Files that are never seen half-written, private directories, and the lock that makes a box run once."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import stat
import subprocess
import time
from pathlib import Path

from appliance.errors import Conflict, Unavailable

_TEMPORARY = re.compile(r"\..+\.(\d{1,10})\.tmp")  # see `write_atomic`: the writer's pid
LOCK_TRIES = 10
LOCK_PAUSE_S = 0.01


class NotPlain(OSError):
    """Something else lies where a plain, readable file of ours should be."""


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


def sweep(*directories: Path) -> None:
    """Remove temporary files of writers that were killed before they were done; those that live keep theirs.
    Never fails: what can't be removed is in nobody's way."""
    for directory in directories:
        with contextlib.suppress(OSError):
            for path in list(directory.iterdir()):
                left = _TEMPORARY.fullmatch(path.name)
                if left and not Path("/proc", left[1]).exists():
                    with contextlib.suppress(OSError):
                        path.unlink()


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


def read_plain(path: Path, most_bytes: int) -> bytes:
    """A small file in a place where others write too: never waits for a pipe, follows no link, reads no more than this.

    Raises NotPlain for anything but such a file, OSError.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EACCES, errno.ENXIO):
            raise NotPlain(error.errno, error.strerror, str(path)) from error
        raise
    try:
        seen = os.fstat(fd)
        if not stat.S_ISREG(seen.st_mode) or seen.st_size > most_bytes:
            raise NotPlain(errno.EINVAL, f"not a plain file of at most {most_bytes} bytes", str(path))
        return os.read(fd, most_bytes)
    finally:
        os.close(fd)


def append_plain(path: Path, mode: int) -> int:
    """A descriptor to append to a file in such a place, made when missing. Raises NotPlain, OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    fd = os.open(path, flags, mode)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise NotPlain(errno.EINVAL, "not a plain file", str(path))
    return fd


def remove_all(path: Path) -> None:
    """Remove what is at `path`, also below directories that their owner closed. Blocks. Raises OSError."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    # Not shutil.rmtree: it recurses, and directories can be nested more deeply than Python's stack, or a path, goes.
    if _rm(path):
        subprocess.run(["/bin/chmod", "-R", "u+rwx", "--", path], check=False, capture_output=True)
        if reason := _rm(path):
            raise OSError(errno.EACCES, reason, str(path))


def _rm(path: Path) -> str:
    done = subprocess.run(["/bin/rm", "-rf", "--", path], check=False, capture_output=True, text=True, errors="replace")
    return (done.stderr.strip() or "rm failed").splitlines()[0] if done.returncode else ""


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
    if stat.S_IMODE(path.stat().st_mode) != 0o700:
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
        if not self._locked(fd):
            os.close(fd)
            who = f"pid {pid}" if (pid := self.holder()) else "another process"
            hint = "Use the running one, or stop it first: ./dev down"
            raise Conflict(f"Weir already runs for {self.path.parent.parent} as {who}", hint=hint)
        self._fd = fd
        os.ftruncate(fd, 0)
        os.write(fd, f"{os.getpid()}\n".encode())

    def _locked(self, fd: int) -> bool:
        """Somebody who only asks for the holder has the lock for a moment: that is no reason to give up."""
        for _ in range(LOCK_TRIES):
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            time.sleep(LOCK_PAUSE_S)
        return False

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
