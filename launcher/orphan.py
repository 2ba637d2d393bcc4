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

from launcher.files import read_if_there, write_atomic


class Noted(Struct, frozen=True):
    """`startTime` in clock ticks since the boot of the box, as in /proc/PID/stat."""

    pid: int
    startTime: int


def note(path: Path, pid: int) -> None:
    """Remember a Node-RED just started. Raises OSError."""
    if (started := _start_time(pid)) is not None:
        write_atomic(path, msgspec.json.encode(Noted(pid, started)))


async def end(path: Path, grace_s: float = 10, kill_s: float = 10) -> int | None:
    """End the noted process and its group, if it still lives; its pid, or None when there was none."""
    try:
        noted = msgspec.json.decode(read_if_there(path) or b"", type=Noted)
        pidfd = os.pidfd_open(noted.pid)
    except (OSError, ValueError, msgspec.DecodeError):
        return None
    try:
        # Read after the pidfd was opened: from here on the number can't change hands unseen.
        if _start_time(noted.pid) != noted.startTime:
            return None
        for number, wait_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, kill_s)):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(pidfd, number)
                os.killpg(noted.pid, number)
            if await _gone_within(pidfd, wait_s):
                break
        return noted.pid
    finally:
        os.close(pidfd)


def _start_time(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()  # the name in front may hold anything
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


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
