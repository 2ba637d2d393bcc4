"""Processes that a flow left behind: a daemon in a session of its own outlives the group of its Node-RED.

The launcher is their next parent (PR_SET_CHILD_SUBREAPER), so none of them can get out of its sight: a child that
the launcher did not start itself is one of these.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Callable

from launcher import proc
from launcher.process import reason, started_here

_PR_SET_CHILD_SUBREAPER = 36
_LIMIT_S = 5.0


def adopt() -> None:
    """From now on orphans below this process become its children. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")


def reap() -> None:
    """Take note of strays that have ended. To be called on SIGCHLD."""
    with contextlib.suppress(OSError):  # no descriptor to look with: the next signal, or `end`, sees them too
        for pid in _strays():
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def kill() -> None:
    """Kill the strays there are, without waiting. Raises OSError where no descriptors are left to look with."""
    for pid in _strays():
        _kill(pid)


async def end(say: Callable[[str], None]) -> bool:
    """Kill all strays and what they leave behind in turn; returns when none is left, after 5 s at most. False: it
    could not even be seen whether there are any."""
    deadline = time.monotonic() + _LIMIT_S
    killed = set[int]()
    while True:
        try:
            if not (strays := _strays()):
                break
        except OSError as error:
            say(f"It can't be seen what the flows have left behind: {reason(error)}")
            return False
        if time.monotonic() > deadline:
            say(f"Processes {', '.join(map(str, strays))}, which the flows started, do not end")
            break
        killed |= {pid for pid in strays if _kill(pid)}
        await asyncio.sleep(0.01)
        reap()
    if killed:
        say(f"Ended what the flows had left behind: {len(killed)} processes")
    return True


def _kill(pid: int) -> bool:
    """They are children of ours: their numbers are not given to others before we reap them."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False


def _strays() -> list[int]:
    return [pid for pid in proc.children_of_self() if not started_here(pid)]
