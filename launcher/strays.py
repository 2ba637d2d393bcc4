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
from launcher.process import started_here

_PR_SET_CHILD_SUBREAPER = 36
_LIMIT_S = 5.0


def adopt() -> None:
    """From now on orphans below this process become its children. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")


def reap() -> None:
    """Take note of strays that have ended. To be called on SIGCHLD."""
    for pid in _strays():
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


async def end(say: Callable[[str], None]) -> None:
    """Kill all strays and what they leave behind in turn; returns when none is left, after 5 s at most."""
    deadline = time.monotonic() + _LIMIT_S
    killed = set[int]()
    while strays := _strays():
        if time.monotonic() > deadline:
            say(f"Processes {', '.join(map(str, strays))}, which the flows started, do not end")
            break
        killed |= {pid for pid in strays if _kill(pid)}
        await asyncio.sleep(0.01)
        reap()
    if killed:
        say(f"Ended what the flows had left behind: {len(killed)} processes")


def _kill(pid: int) -> bool:
    """They are children of ours: their numbers are not given to others before we reap them."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False


def _strays() -> list[int]:
    return [pid for pid in proc.children_of_self() if not started_here(pid)]
