"""The releases of an installed box: directories below `/opt/weir/releases`, and one link that says which is in use."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from appliance.errors import Invalid, Unavailable
from appliance.system.files import sync_directory, write_atomic

ROOT = Path("/opt/weir")
LOCK = Path("/run/weir-install.lock")  # as in install.sh
LOCK_S = 900.0
KEPT = 2  # beside the one in use, of those that nothing runs from
_NAME = re.compile(r"[0-9][0-9A-Za-z.+]{0,30}-[0-9a-f]{8}")


class Journal(Struct, frozen=True):
    """An upgrade that was begun and not yet judged. `schema`: the database's before; `began_at`: seconds since 1970."""

    before: str
    after: str
    schema: str
    began_at: float
    running: tuple[str, ...] = ()  # ids of the instances that ran


class Releases:
    """All paths below `root`, which only root may write."""

    def __init__(self, root: Path = ROOT, lock: Path = LOCK) -> None:
        self.root = root
        self._lock = lock
        self.current = root / "current"
        self.previous = root / "previous"
        self._journal = root / "upgrade.json"

    def named(self, name: str) -> Path:
        """The whole release of this name. Raises Invalid."""
        path = self.root / "releases" / name
        if not _NAME.fullmatch(name) or not (path / "release.json").is_file():
            known = ", ".join(each.name for each in self.all()) or "none"
            raise Invalid(f"no release '{name}' is installed", hint=f"Installed: {known}.")
        return path

    def all(self) -> list[Path]:
        """The whole releases, oldest first."""
        found = (marker.parent for marker in (self.root / "releases").glob("*/release.json"))
        return sorted(found, key=lambda path: (path / "release.json").stat().st_mtime)

    def in_use(self) -> Path | None:
        """The release that `current` means, None before the first."""
        return self.current.resolve() if self.current.exists() else None

    def use(self, release: Path) -> None:
        """Let `current` mean `release`, and `previous` what it meant. One rename: there is no moment without one."""
        before = self.in_use()
        if before is not None and before != release:
            _link(self.previous, before)
        _link(self.current, release)

    def begin(self, journal: Journal) -> None:
        """Note that an upgrade is under way, for whoever comes after a power cut: he uses the program of `previous`,
        which is the release that works from here on. Raises OSError, Invalid."""
        _link(self.previous, self.named(journal.before))
        write_atomic(self._journal, msgspec.json.encode(journal), 0o600)

    def begun(self) -> Journal | None:
        """The upgrade under way, None when there is none."""
        try:
            return msgspec.json.decode(self._journal.read_bytes(), type=Journal)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def end(self) -> None:
        """The upgrade is judged."""
        self._journal.unlink(missing_ok=True)
        sync_directory(self.root)

    @contextmanager
    def alone(self, *, wait_s: float = LOCK_S) -> Iterator[None]:
        """The lock of `install.sh`: one of all that change releases at a time. Raises Unavailable after `wait_s`.

        Who is killed frees it. Not to be asked for by what `install.sh` starts while it holds it.
        """
        try:  # to read: housekeeping can write nothing in /run
            fd = os.open(self._lock, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        except OSError as error:
            raise Unavailable(
                f"the lock {self._lock} can't be opened: {error.strerror}",
                code="upgrade_busy",
                hint="Type: systemd-tmpfiles --create",
            ) from error
        try:
            deadline = time.monotonic() + wait_s
            while not _locked(fd):
                if time.monotonic() >= deadline:
                    raise Unavailable(
                        "an install.sh or another upgrade runs on this machine",
                        code="upgrade_busy",
                        hint="Let it end first.",
                    )
                time.sleep(0.2)
            yield
        finally:
            os.close(fd)

    def tidy(self) -> list[str]:
        """Remove old releases that nothing runs from; the names of those that went."""
        wanted = {self.in_use(), self.previous.resolve() if self.previous.exists() else None}
        journal = self.begun()
        others = [each for each in self.all() if each not in wanted and not _runs_from(each)]
        if journal is not None or len(others) <= KEPT:
            return []
        gone = others[:-KEPT]
        for each in gone:
            (each / "release.json").unlink()  # first: half a release is none
            shutil.rmtree(each, ignore_errors=True)
        return [each.name for each in gone]


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _link(link: Path, target: Path) -> None:
    beside = link.with_name(f".{link.name}.new")
    beside.unlink(missing_ok=True)
    beside.symlink_to(target)
    beside.replace(link)
    sync_directory(link.parent)


def _runs_from(release: Path) -> bool:
    """Whether a process was started from it, or has files of it in memory."""
    prefix = os.fsencode(f"{release}/")
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if prefix in (process / "cmdline").read_bytes() or prefix in (process / "maps").read_bytes():
                return True
        except OSError:
            continue  # it has ended
    return False
