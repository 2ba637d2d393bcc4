"""What the programs of one instance take of the machine, as the kernel counts it: nothing here is asked of a flow.

Processor time comes from the launcher's own cgroup where it has one (a unit, a container; v1 and v2), else from
/proc over all descendants of the launcher. Memory is the resident set of Node-RED and what it has started.
"""

from __future__ import annotations

import contextlib
import os
import resource
from itertools import islice
from pathlib import Path

from msgspec import Struct

PROCESSES = 512  # so many are looked at: a flow that forks without end must not make us as busy as itself
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_MIB = 1024 * 1024
_NO_LIMIT = 1 << 60  # cgroup v1 writes a number near 2**63 where there is none


class Seen(Struct, frozen=True):
    """`cpu_s` and `written_bytes` grow as long as the launcher lives; `memory_mb` is None when the process is gone.

    `written_bytes`: what the launcher and all below it had written to a disk, or will have once it is flushed.
    """

    cpu_s: float
    memory_mb: float | None
    written_bytes: int = 0


class Limits(Struct, frozen=True):
    """What the kernel enforces: percent of one core, MB. None where there is no limit."""

    cpu_percent: float | None = None
    memory_mb: float | None = None


class Usage:
    """Reads the counters of the calling process's instance. Made at start, before anything is started by it."""

    def __init__(self, proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> None:
        self._proc = str(proc)
        self._self = os.getpid()
        self._cgroup = _own_cgroup(self._proc, str(cgroups), {pid for pid, _ in self._tree(self._self)})
        self._lost_s = 0.0
        self._cpu_s = 0.0
        self._written_bytes = 0

    @property
    def in_own_cgroup(self) -> bool:
        return self._cgroup is not None

    def limits(self) -> Limits:
        """Limits of the cgroup; none where the launcher shares one with others."""
        return self._cgroup.limits() if self._cgroup is not None else Limits()

    def read(self, node_red: int | None) -> Seen:
        """The counters now; `node_red` is the process whose memory is wanted, with that of its children."""
        tree = self._tree(self._self)
        ticks = sum(self._ticks(pid, own=pid != self._self) for pid, _ in tree)
        inside = _below(node_red, tree)
        pages = [self._pages(pid) for pid in inside]
        gone = not pages or pages[0] == 0
        memory_mb = None if gone else sum(pages) * _PAGE / _MIB
        return Seen(self._grown(ticks / _TICKS), memory_mb, self._written(tree))

    def peak_mb(self, node_red: int) -> float:
        """The largest resident set that the process itself ever had; 0 when it is gone."""
        for line in _read(f"{self._proc}/{node_red}/status").splitlines():
            if line.startswith(b"VmHWM:"):
                return int(line.split()[1]) / 1024
        return 0.0

    def _grown(self, from_proc_s: float) -> float:
        now_s = self._cgroup.cpu_s() if self._cgroup is not None else None
        if now_s is None:
            now_s = from_proc_s
        # What a process used that was not waited for by its parent vanishes from the sum: not below what was told.
        if now_s + self._lost_s < self._cpu_s:
            self._lost_s = self._cpu_s - now_s
        self._cpu_s = now_s + self._lost_s
        return self._cpu_s

    def _written(self, tree: list[tuple[int, int]]) -> int:
        """Never less than before: a process that has ended is counted by whoever waited for it, a moment later."""
        # /proc/self/io is closed to an undumpable process; the kernel counts the same here, in blocks of 512 bytes.
        ended = resource.getrusage(resource.RUSAGE_CHILDREN).ru_oublock
        own = resource.getrusage(resource.RUSAGE_SELF).ru_oublock
        living = sum(self._io(pid) for pid, _ in tree if pid != self._self)
        self._written_bytes = max(self._written_bytes, (ended + own) * 512 + living)
        return self._written_bytes

    def _io(self, pid: int) -> int:
        for line in _read(f"{self._proc}/{pid}/io").splitlines():
            if line.startswith(b"write_bytes:"):
                return int(line.split()[1])
        return 0

    def _tree(self, root: int) -> list[tuple[int, int]]:
        """(pid, parent) of `root` and what descends from it, parents first."""
        found = [(root, 0)]
        for pid, _ in found:
            room = PROCESSES - len(found)
            found += [(child, pid) for child in self._children(pid)[: max(0, room)]]
        return found

    def _children(self, pid: int) -> list[int]:
        children: list[int] = []
        with contextlib.suppress(OSError):
            for thread in islice(Path(f"{self._proc}/{pid}/task").iterdir(), PROCESSES):
                children += map(int, _read(f"{thread}/children").split())
        return children

    def _ticks(self, pid: int, *, own: bool) -> int:
        """Clock ticks of a process and its children that have ended; without its own for the launcher itself."""
        fields = _read(f"{self._proc}/{pid}/stat").rpartition(b")")[2].split()
        if len(fields) < 15:
            return 0
        return sum(map(int, fields[11:15] if own else fields[13:15]))

    def _pages(self, pid: int) -> int:
        fields = _read(f"{self._proc}/{pid}/statm").split()
        return int(fields[1]) if len(fields) > 1 else 0


class _Cgroup(Struct, frozen=True):
    """The files of one cgroup, of either version."""

    cpu: str
    memory: str
    v2: bool

    def cpu_s(self) -> float | None:
        if not self.v2:
            usage = _read(f"{self.cpu}/cpuacct.usage").strip()
            return int(usage) / 1e9 if usage.isdigit() else None
        for line in _read(f"{self.cpu}/cpu.stat").splitlines():
            if line.startswith(b"usage_usec "):
                return int(line.split()[1]) / 1e6
        return None

    def limits(self) -> Limits:
        if self.v2:
            quota, _, period = _read(f"{self.cpu}/cpu.max").partition(b" ")
            memory = _read(f"{self.memory}/memory.max")
        else:
            quota, period = (_read(f"{self.cpu}/cpu.cfs_{name}_us") for name in ("quota", "period"))
            memory = _read(f"{self.memory}/memory.limit_in_bytes")
        cpu, each, size = _number(quota), _number(period), _number(memory)
        return Limits(
            100 * cpu / each if cpu and each else None,
            size / _MIB if size and size < _NO_LIMIT else None,
        )


def _own_cgroup(proc: str, mount: str, family: set[int]) -> _Cgroup | None:
    """The cgroup of this process when nobody else is in it: a shared one would charge us for strangers."""
    where = {}
    for line in _read(f"{proc}/self/cgroup").decode("utf-8", "replace").splitlines():
        _, controllers, path = line.split(":", 2)
        where.update(dict.fromkeys(controllers.split(","), path))
    if "cpuacct" in where and "memory" in where:
        cpu = _place(f"{mount}/cpu,cpuacct", where["cpuacct"]) or _place(f"{mount}/cpuacct", where["cpuacct"])
        memory = _place(f"{mount}/memory", where["memory"])
        found = _Cgroup(cpu, memory, False) if cpu and memory else None
    else:
        both = _place(mount, where.get("", "/"))
        found = _Cgroup(both, both, True) if both else None
    if found is None or found.cpu_s() is None:
        return None
    inhabitants = {int(pid) for pid in _read(f"{found.cpu}/cgroup.procs").split()}
    return found if inhabitants and inhabitants <= family else None


def _place(mount: str, path: str) -> str:
    """The directory of a cgroup; inside a container its path may be that of the host, and the mount is it."""
    for directory in (f"{mount}{path}".rstrip("/"), mount):
        if os.access(f"{directory}/cgroup.procs", os.R_OK):
            return directory
    return ""


def _below(root: int | None, tree: list[tuple[int, int]]) -> list[int]:
    """`root` and its descendants; empty when it is not in the tree."""
    inside = [pid for pid, _ in tree if pid == root]
    known = set(inside)
    for pid, parent in tree:
        if parent in known and pid not in known:
            known.add(pid)
            inside.append(pid)
    return inside


def _number(text: bytes) -> int | None:
    text = text.strip()
    return int(text) if text.isdigit() else None


def _read(path: str) -> bytes:
    """A file of the kernel; empty when the process is gone."""
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""
