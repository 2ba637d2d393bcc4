"""A Node-RED that outlived its launcher (SIGKILL, out of memory) still holds the port: the next launcher ends it.

Known by pid and start time, noted at every spawn in `node_red.json`; a number that another process has by now
is left alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import msgspec
from msgspec import Struct

from launcher import proc
from launcher.files import read_if_there, write_atomic
from launcher.process import out_of_descriptors

_MOST = 4


class Noted(Struct, frozen=True):
    """`startTime` in clock ticks since the boot of the box, as in /proc/PID/stat."""

    pid: int
    startTime: int


def note(path: Path, *pids: int) -> None:
    """Remember the Node-REDs there are: the one that serves, and its successor. Raises OSError."""
    noted = [Noted(pid, started) for pid in pids if (started := proc.start_time(pid)) is not None]
    write_atomic(path, msgspec.json.encode(noted))


def forget(path: Path) -> None:
    """All of them have been ended."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


async def end(path: Path, home: Path | None = None, grace_s: float = 10, kill_s: float = 10) -> int | None:
    """End the noted processes with all that descends from them, if they still live; the pid of one that did.

    Also what the flows of `home` had started, if it has lost its parents: known by HOME, which Node-RED hands down.
    Raises OSError where no descriptors are left to look with.
    """
    try:
        noted = msgspec.json.decode(read_if_there(path) or b"", type=list[Noted] | Noted)
    except OSError as error:
        if out_of_descriptors(error):
            raise
        return None
    except msgspec.DecodeError:
        return None
    # A flow may have written the note: not without end, and never all processes (the group of 1), nor ourselves.
    several = [each for each in (noted if isinstance(noted, list) else [noted]) if each.pid > 1][:_MOST]
    ended = [await _end(each, grace_s, kill_s) for each in several if each.pid != os.getpid()]
    for lost in _lost(home) if home is not None else ():
        _kill(lost)
    return next((pid for pid in ended if pid is not None), None)


async def _end(noted: Noted, grace_s: float, kill_s: float) -> int | None:
    try:
        pidfd = os.pidfd_open(noted.pid)
    except OSError as error:
        if out_of_descriptors(error):
            raise
        return None
    except (ValueError, OverflowError):
        return None
    try:
        # Read after the pidfd was opened: from here on the number can't change hands unseen.
        if proc.start_time(noted.pid) != noted.startTime:
            return None
        below = _descendants(noted.pid)
        for number, wait_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, kill_s)):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(pidfd, number)
                os.killpg(noted.pid, number)
            if await _gone_within(pidfd, wait_s):
                break
        for each in below:
            _kill(each)
        return noted.pid
    finally:
        os.close(pidfd)


def _descendants(root: int) -> list[Noted]:
    """What `root` has started and what these have, also in sessions of their own."""
    parents = proc.parents()
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return [Noted(pid, started) for pid in found[1:] if (started := proc.start_time(pid)) is not None]


def _lost(home: Path) -> list[Noted]:
    """Orphans come to init or to a reaper above us; whoever works in the instance's shell has a living parent."""
    parents = proc.parents()
    reapers, above = {1}, os.getpid()
    while (above := parents.get(above, 0)) > 1:
        reapers.add(above)
    candidates = [pid for pid, parent in parents.items() if parent in reapers and pid not in {os.getpid(), *reapers}]
    found = [pid for pid in candidates if _is_at_home(pid, bytes(home))]
    return [Noted(pid, started) for pid in found if (started := proc.start_time(pid)) is not None]


def _is_at_home(pid: int, home: bytes) -> bool:
    return b"HOME=" + home in proc.environment(pid) and b"\0-m\0launcher\0" not in proc.command_line(pid)


def _kill(noted: Noted) -> None:
    try:
        pidfd = os.pidfd_open(noted.pid)
        try:
            if proc.start_time(noted.pid) == noted.startTime:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        finally:
            os.close(pidfd)
    except OSError as error:
        if out_of_descriptors(error):
            raise


async def _gone_within(pidfd: int, seconds: float) -> bool:
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    loop.add_reader(pidfd, gone.set)
    try:
        async with asyncio.timeout(seconds):
            return await gone.wait()
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(pidfd)
