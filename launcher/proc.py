"""What /proc says of processes. All of it may be gone at the next line. Where no descriptors are left to look with,
OSError is raised: what can't be seen is not gone."""

from __future__ import annotations

import os
from pathlib import Path

from launcher.process import out_of_descriptors

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")


def start_time(pid: int) -> int | None:
    """In clock ticks since the boot of the box: with the pid it names a process for ever. None: gone, or a zombie."""
    fields = _stat(_PROC / str(pid))
    return int(fields[19]) if fields and fields[0] not in (b"Z", b"X") else None


def parent(pid: int) -> int:
    """0 when the process is gone."""
    fields = _stat(_PROC / str(pid))
    return int(fields[1]) if fields else 0


def parents() -> dict[int, int]:
    """All processes that can be seen, each with its parent."""
    return {pid: parent(pid) for pid in (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit())}


def children_of_self() -> list[int]:
    """Zombies too."""
    own = os.getpid()
    try:
        return [int(pid) for pid in (_PROC / "self" / "task" / str(own) / "children").read_bytes().split()]
    except FileNotFoundError:  # a kernel without CONFIG_PROC_CHILDREN
        return [pid for pid, its_parent in parents().items() if its_parent == own]


def main_thread_s(pid: int) -> float:
    """Processor time of the main thread; 0 when the process is gone, or can't be seen."""
    try:
        fields = _stat(_PROC / str(pid) / "task" / str(pid))
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS if fields else 0.0


def environment(pid: int) -> list[bytes]:
    """`NAME=value` each, as at its start; empty for a stranger's."""
    return _read(_PROC / str(pid) / "environ").split(b"\0")


def command_line(pid: int) -> bytes:
    """Its arguments, each with a zero byte behind it."""
    return _read(_PROC / str(pid) / "cmdline")


def _stat(directory: Path) -> list[bytes]:
    return _read(directory / "stat").rpartition(b")")[2].split()  # the name in front may hold anything


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        if out_of_descriptors(error):
            raise
        return b""
