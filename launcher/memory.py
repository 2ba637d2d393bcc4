"""How much memory is left for one more process, and whether the kernel ended one for want of it.

Both are read from the cgroups the launcher is in, up to the root, and from what the whole box says.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

RESERVE_BYTES = 64 * 1024 * 1024  # is left to the box and to what the flows take next
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Kills(Struct, frozen=True):
    """How often the kernel has ended a process for want of memory: in our cgroup, and on the whole box (None: it
    does not say). `limit_bytes`: the least that our cgroup and those around it allow; None where none of them does."""

    ours: int = 0
    box: int | None = None
    limit_bytes: int | None = None


NONE = Kills()


class Memory:
    """The box as this process sees it. Files that are missing or unreadable limit nothing and count nothing."""

    def __init__(self, proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> None:
        self._proc, self._cgroups = proc, cgroups

    def free_bytes(self) -> int | None:
        """What may still be taken before something has to go: the least of the box and every cgroup around us."""
        rooms = [room for limit, usage, stat in self._limits() if (room := _room(limit, usage, stat)) is not None]
        available = _field(self._proc / "meminfo", "MemAvailable:")
        if available is not None:
            rooms.append(available * 1024)
        return min(rooms, default=None)

    def resident_bytes(self, pid: int) -> int:
        """The resident set of a process; 0 when it is gone."""
        words = _read(self._proc / str(pid) / "statm").split()
        return int(words[1]) * _PAGE if len(words) > 1 else 0

    def kills(self) -> Kills:
        """To be compared with what it was before."""
        innermost, v2 = next(self._own())  # further out it may have been a neighbour
        ours = _field(innermost / ("memory.events" if v2 else "memory.oom_control"), "oom_kill")
        limits = [limit for path, _, _ in self._limits() if (limit := _limit(path)) is not None]
        return Kills(ours or 0, _field(self._proc / "vmstat", "oom_kill"), min(limits, default=None))

    def _limits(self) -> Iterator[tuple[Path, Path, Path]]:
        for directory, v2 in self._own():
            limit, usage = (
                ("memory.max", "memory.current") if v2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
            )
            yield directory / limit, directory / usage, directory / "memory.stat"

    def _own(self) -> Iterator[tuple[Path, bool]]:
        """The cgroups we are in that count memory, innermost first; True where they are of version 2."""
        places = {}
        for line in _read(self._proc / "self" / "cgroup").splitlines():
            _, controllers, path = line.split(":", 2)
            places.update(dict.fromkeys(controllers.split(","), path))
        v2 = "memory" not in places
        root = self._cgroups if v2 else self._cgroups / "memory"
        inner = root / places.get("" if v2 else "memory", "/").lstrip("/")
        if not inner.is_dir():  # in a container the path may be the host's; then the mount itself is our cgroup
            inner = root
        while True:
            yield inner, v2
            if inner == root or root not in inner.parents:
                return
            inner = inner.parent


def _room(limit: Path, usage: Path, stat: Path) -> int | None:
    most, used = _limit(limit), _read(usage).strip()
    if most is None or not used.isdigit():
        return None
    # The page cache is given back when memory is short.
    cache = _field(stat, "total_inactive_file") or _field(stat, "inactive_file") or 0
    return max(0, most - int(used) + cache)


def _limit(path: Path) -> int | None:
    text = _read(path).strip()
    return int(text) if text.isdigit() and int(text) < 1 << 60 else None


def _field(path: Path, name: str) -> int | None:
    for line in _read(path).splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == name and words[1].isdigit():
            return int(words[1])
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, ValueError):
        return ""
