"""The releases of an installed box: directories below `/opt/weir/releases`, and one link that says which is in use."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import msgspec
from msgspec import Struct

from appliance.errors import Invalid
from appliance.system.files import sync_directory, write_atomic

ROOT = Path("/opt/weir")
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

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root
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
        """Note that an upgrade is under way, for whoever comes after a power cut. Raises OSError."""
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
