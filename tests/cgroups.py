"""A cgroup of a test's own that limits memory, of either version."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support import eventually

_MOUNT = Path("/sys/fs/cgroup")


class MemoryCgroup:
    """`prefix` is a command that runs another one inside."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.prefix = ["/bin/sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(path)]


def missing() -> str:
    """Why there can't be one here; nothing when there can."""
    if os.geteuid() != 0:
        return "making a cgroup takes root"
    root, v2 = _root()
    if root is None:
        return "the memory controller is not mounted below /sys/fs/cgroup"
    if v2 and "memory" not in (root / "cgroup.subtree_control").read_text().split():
        return "cgroup.subtree_control of the root does not hand memory on"
    return "" if os.access(root, os.W_OK) and not os.statvfs(root).f_flag & os.ST_RDONLY else f"{root} is read-only"


@asynccontextmanager
async def memory_cgroup(name: str, limit_bytes: int) -> AsyncIterator[MemoryCgroup]:
    """Removed at the end, by when all that ran in it must have ended."""
    root, v2 = _root()
    assert root is not None
    path = root / name
    path.mkdir()
    try:
        (path / ("memory.max" if v2 else "memory.limit_in_bytes")).write_text(str(limit_bytes))
        swap = path / ("memory.swap.max" if v2 else "memory.swappiness")
        if swap.exists():
            swap.write_text("0")
        yield MemoryCgroup(path)
    finally:
        await eventually(lambda: not (path / "cgroup.procs").read_text(), 10)
        path.rmdir()


def _root() -> tuple[Path | None, bool]:
    if (_MOUNT / "cgroup.controllers").exists() and "memory" in (_MOUNT / "cgroup.controllers").read_text().split():
        return _MOUNT, True
    v1 = _MOUNT / "memory"
    return (v1, False) if (v1 / "memory.limit_in_bytes").exists() else (None, False)
