"""Is the event loop of Node-RED wedged? A fallback: that it runs at all is told over the control channel.

A loop that does not answer may be stuck for ever or be at work: a function that computes for minutes is somebody's
flow, and ending it would end the work. The processor tells them apart: silent and idle is stuck, and ended after
`FAILURES` probes; silent and computing gets `BUSY_FAILURES`. An endless loop is ended too, later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from launcher import http, proc
from launcher.process import out_of_descriptors

INTERVAL_S = 15.0
FAILURES = 3  # 90 s
BUSY_FAILURES = 10  # 5 min
_BUSY = 0.25  # of a core, between two probes: on a full box there may be no more to get


async def answers(url: str, timeout_s: float) -> bool:
    """Any HTTP answer counts: a closed editor answers 404, a protected one 401."""
    try:
        await http.request("HEAD", url, timeout_s=timeout_s, body_limit=65536)
    except http.Unreachable as error:
        # Without a descriptor nobody was asked: that ends no Node-RED that serves.
        return isinstance(error.__cause__, OSError) and out_of_descriptors(error.__cause__)
    return True


async def watch(
    probe: Callable[[], Awaitable[bool]],
    computed_s: Callable[[], float] = lambda: 0.0,
    *,
    interval_s: float = INTERVAL_S,
    failures: int = FAILURES,
    busy_failures: int = BUSY_FAILURES,
) -> int:
    """Returns once too many probes in a row were not answered, and how many; for ever silent while they are.

    `computed_s` grows with the work that the loop does.
    """
    loop = asyncio.get_running_loop()
    missed = idle = 0
    before, since = computed_s(), loop.time()
    while idle < failures and missed < busy_failures:
        await asyncio.sleep(interval_s)
        answered = await probe()
        now, at = computed_s(), loop.time()
        busy = now - before >= _BUSY * (at - since)
        before, since = now, at
        missed = 0 if answered else missed + 1
        idle = 0 if answered else idle + (not busy)
    return missed


async def wedged(url: str, pid: int, interval_s: float) -> str:
    """Wait until Node-RED does not answer any more; what there is to say of it then."""
    # The event loop runs in the main thread: what helpers and the garbage collector compute is not its work.
    missed = await watch(lambda: answers(url, interval_s), lambda: proc.main_thread_s(pid), interval_s=interval_s)
    silent_s = 2 * missed * interval_s
    how = "is blocked by a computation that does not end" if missed >= BUSY_FAILURES else "is blocked"
    return f"Node-RED has not answered for about {silent_s:.0f} s: its event loop {how}."
