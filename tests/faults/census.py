"""Every process on this machine that has to do with one box, told apart by what it was started with."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import psutil
from msgspec import Struct


class Census(Struct):
    """Living processes of a home. Keys are instance ids; `others` should be there only for moments."""

    appliance: list[psutil.Process]
    nginx: list[psutil.Process]  # masters
    workers: list[psutil.Process]
    launchers: dict[str, list[psutil.Process]]
    node_reds: dict[str, list[psutil.Process]]
    others: list[psutil.Process]
    zombies: list[psutil.Process]

    @property
    def all(self) -> list[psutil.Process]:
        many = [*self.launchers.values(), *self.node_reds.values()]
        return [*self.appliance, *self.nginx, *self.workers, *self.others, *(each for some in many for each in some)]


def take(home: Path) -> Census:
    """What runs now of the box at `home`. Asks /proc alone, so that it tells the truth when the box does not."""
    census = Census([], [], [], {}, {}, [], [])
    seen: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid() and _belongs(process, str(home)):
                seen[process.pid] = process
                _sort(census, process, str(home))
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.status() == psutil.STATUS_ZOMBIE and process.ppid() in seen:
                census.zombies.append(process)
    return census


def name(process: psutil.Process) -> str:
    """Pid and command line, for people."""
    try:
        return f"{process.pid} {process.status()}: {' '.join(process.cmdline())[:220]}"
    except psutil.Error:
        return f"{process.pid}, gone"


def _belongs(process: psutil.Process, home: str) -> bool:
    if process.status() == psutil.STATUS_ZOMBIE:
        return False
    if any(home in word for word in process.cmdline()):
        return True
    proc = Path("/proc") / str(process.pid)
    links = [proc / "cwd", proc / "exe"]
    with suppress(OSError):
        links += (proc / "fd").iterdir()
    return any(_target(link).startswith(home) for link in links) or home.encode() in _environ(proc)


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""


def _environ(proc: Path) -> bytes:
    try:
        return (proc / "environ").read_bytes()
    except OSError:
        return b""


def _sort(census: Census, process: psutil.Process, home: str) -> None:
    words = process.cmdline()
    line = " ".join(words)
    if line.startswith("nginx: worker"):
        census.workers.append(process)
    elif line.startswith("nginx: master"):
        census.nginx.append(process)
    elif "appliance" in words and "serve" in words:
        census.appliance.append(process)
    elif "launcher" in words and "--instance" in words:
        census.launchers.setdefault(words[words.index("--instance") + 1], []).append(process)
    # Node-RED overwrites its arguments with its name; it stays in the directory it was started in.
    elif (line.strip() == "node-red" or "/red.js " in line) and (instance := _instance(process.cwd(), home)):
        census.node_reds.setdefault(instance, []).append(process)
    else:
        census.others.append(process)


def _instance(directory: str, home: str) -> str:
    """The id in a directory below `instances`, else empty."""
    below = Path(directory).parts[len(Path(home).parts) :]
    return below[1] if len(below) > 1 and below[0] == "instances" and directory.startswith(home) else ""


class Weight(Struct, frozen=True):
    """What a process holds."""

    descriptors: int
    threads: int
    rss_mb: float


def weigh(process: psutil.Process) -> Weight | None:
    """None when it is gone or closed to us."""
    try:
        return Weight(process.num_fds(), process.num_threads(), process.memory_info().rss / 2**20)
    except psutil.Error:
        return None
