"""Which processes a process descends from, as the kernel tells: nobody can choose his parents.

Start times are compared along with pids, since a pid may be given again. Needs a /proc that shows processes of other
accounts (for a unit of systemd: `ProtectProc=default`).
"""

from __future__ import annotations

from msgspec import Struct

from appliance.system.pidfd import stat

DEEPEST = 32


class Parent(Struct, frozen=True):
    """One process of this boot. `start_time` in clock ticks since boot."""

    pid: int
    start_time: int


def parent(pid: int) -> Parent | None:
    """The process that `pid` is a child of; None where it can't be seen."""
    found = ancestors(pid, deepest=1)
    return found[0] if found else None


def ancestors(pid: int, *, deepest: int = DEEPEST) -> list[Parent]:
    """The processes that `pid` descends from, the nearest first, without the first one of the machine."""
    found: list[Parent] = []
    child = stat(pid)
    while child is not None and child.ppid > 1 and len(found) < deepest:
        above = stat(child.ppid)
        if above is None or above.start_time > child.start_time:
            break  # it ended meanwhile, and its pid is somebody else's
        found.append(Parent(child.ppid, above.start_time))
        child = above
    return found
