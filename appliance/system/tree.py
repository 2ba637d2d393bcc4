"""The processes that belong to one directory, found by label and by descent, and ended to the last one.

A label is the directory in the arguments (`--dir DIR` of a launcher, `-u DIR` of Node-RED) or as HOME in the
environment, which children inherit. Whatever descends from a labelled process, or shares a session with one, belongs
too. Only processes of our own account are looked at, each is held by a pidfd before it is signalled. Where no
descriptors are left to look with, OSError is raised: nothing is to be started beside what can't be seen.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

from appliance.system.pidfd import Identity, Process, Stat, boot_id, out_of_descriptors, stat

PROC = Path("/proc")


class StillAlive(Exception):
    """Processes that even SIGKILL did not end within the deadline (stuck in the kernel)."""


def labelled(directory: Path) -> set[Identity]:
    """Processes of our account that carry the label of `directory`."""
    return {_identity(pid, seen) for pid, seen in _ours().items() if _has_label(pid, str(directory).encode())}


def launchers(directory: Path) -> dict[Identity, dict[str, str]]:
    """Launchers of `directory` (`… --dir DIR …`) with their arguments by name."""
    found = {}
    for pid, seen in _ours().items():
        arguments = _arguments(pid)
        if _pair(arguments, b"--dir", str(directory).encode()) and _same(pid, seen):
            found[_identity(pid, seen)] = _named(arguments)
    return found


def started_with(name: str, value: str) -> list[Identity]:
    """Processes of our account whose command line has these two words, one after the other."""
    ours = _ours().items()
    return [_identity(pid, seen) for pid, seen in ours if _pair(_arguments(pid), name.encode(), value.encode())]


def arguments(process: Identity) -> list[str]:
    """The command line of a living process; empty when it is gone."""
    found = [word.decode(errors="replace") for word in _arguments(process.pid)]
    now = stat(process.pid)
    return found if now is not None and now.start_time == process.start_time else []


def children(pid: int) -> list[int]:
    """The processes that `pid` has started itself and that live; none when that can't be seen."""
    found = [int(word) for task in _tasks(pid) for word in _read(pid, f"task/{task}/children").split()]
    return sorted(found)


def grown(known: Iterable[Identity], directory: Path) -> set[Identity]:
    """The living of `known`, all that carry the label, all that descend from these or share a session with one."""
    processes = _ours()
    label = str(directory).encode()
    alive = {i.pid for i in known if i.pid in processes and _identity(i.pid, processes[i.pid]) == i}
    alive |= {pid for pid in processes if pid not in alive and _has_label(pid, label)}
    outside = {os.getsid(0), 0}
    while True:
        sessions = {processes[pid].session for pid in alive} - outside
        more = {p for p, s in processes.items() if p not in alive and (s.ppid in alive or s.session in sessions)}
        if not more:
            break
        alive |= more
    alive.discard(os.getpid())
    return {_identity(pid, processes[pid]) for pid in alive}


async def end(root: Identity | None, directory: Path, *, grace_s: float, kill_s: float = 20) -> None:
    """End everything that belongs to `directory`.

    First SIGTERM to `root`, which stops its own children in order; what is left after it ended, or after `grace_s`,
    gets SIGTERM, and SIGKILL two seconds later. Returns when nothing is left. Raises StillAlive after `kill_s` more.
    """
    known = await asyncio.to_thread(grown, [root] if root else [], directory)
    if root in known:
        await _signal_and_wait([root], signal.SIGTERM, grace_s)
    deadline = time.monotonic() + kill_s
    number, patience_s = signal.SIGTERM, min(2.0, grace_s)
    while known := await asyncio.to_thread(grown, known, directory):
        if time.monotonic() > deadline:
            pids = ", ".join(str(i.pid) for i in sorted(known, key=lambda i: i.pid))
            raise StillAlive(f"processes {pids} do not end")
        await _signal_and_wait(known, number, patience_s)
        number, patience_s = signal.SIGKILL, 1.0


async def _signal_and_wait(members: Iterable[Identity | None], number: signal.Signals, timeout_s: float) -> None:
    opened = [process for member in members if member and (process := Process.open(member))]
    try:
        for process in opened:
            process.send(number)
            process.send(signal.SIGCONT)  # a stopped process takes note of SIGTERM when it goes on
        await asyncio.gather(*(process.wait(timeout_s) for process in opened))
        for process in opened:
            process.reap()
    finally:
        for process in opened:
            process.close()


def _tasks(pid: int) -> list[str]:
    try:
        return [entry.name for entry in (PROC / str(pid) / "task").iterdir()]
    except OSError as error:
        if out_of_descriptors(error):
            raise
        return []


def _ours() -> dict[int, Stat]:
    uid = os.geteuid()
    pids = [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]
    return {pid: seen for pid in pids if (seen := stat(pid)) and seen.state not in "ZX" and _uid(pid) == uid}


def _uid(pid: int) -> int | None:
    # Not the owner of /proc/PID: that is root for a process that made itself undumpable.
    for line in _read(pid, "status").splitlines():
        if line.startswith(b"Uid:"):
            return int(line.split()[1])
    return None


def _has_label(pid: int, directory: bytes) -> bool:
    arguments = _arguments(pid)
    if _pair(arguments, b"--dir", directory) or _pair(arguments, b"-u", directory):
        return True
    return b"HOME=" + directory in _read(pid, "environ").split(b"\0")


def _arguments(pid: int) -> list[bytes]:
    return _read(pid, "cmdline").split(b"\0")


def _pair(arguments: list[bytes], name: bytes, value: bytes) -> bool:
    return any(pair == (name, value) for pair in zip(arguments, arguments[1:], strict=False))


def _named(arguments: list[bytes]) -> dict[str, str]:
    pairs = zip(arguments, arguments[1:], strict=False)
    return {name[2:].decode(): value.decode(errors="replace") for name, value in pairs if name.startswith(b"--")}


def _read(pid: int, name: str) -> bytes:
    try:
        return (PROC / str(pid) / name).read_bytes()
    except OSError as error:  # gone, or not ours to read
        if out_of_descriptors(error):
            raise
        return b""


def _identity(pid: int, seen: Stat) -> Identity:
    return Identity(pid, seen.start_time, boot_id())


def _same(pid: int, seen: Stat) -> bool:
    again = stat(pid)
    return again is not None and again.start_time == seen.start_time
