"""The rhythm in which a program of the box is kept as it is wanted: a round, then a wait, for ever."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from appliance.system.daemon import Daemon

log = logging.getLogger(__name__)

RESYNC_S = 30.0
RETRY_MAX_S = 60.0
PROBE_S = 10.0
PROBE_AGAIN_S = 1.5
PROBES = 4  # in a row without an answer, each with its deadline: a busy box is slow, not dead


def retry_s(failures: int) -> float:
    """The pause after so many failures in a row."""
    return min(RETRY_MAX_S, 2.0 ** min(failures, 9))


class Rounds:
    """The rounds of one reconciler. `run` is for one task; `poke` may be called from anywhere on the loop.

    `stuck` asks the program why it does not answer, "" when it does: one that lives and has not answered often enough
    is ended, and the next round starts it again. `serves` says whether its end is news also after a round that failed.
    `misses` counts the probes in a row that were not answered.
    """

    def __init__(
        self,
        daemon: Daemon,
        *,
        every_s: float,
        stuck: Callable[[], Awaitable[str]],
        serves: Callable[[], bool],
    ) -> None:
        self._daemon = daemon
        self._every_s = every_s
        self._stuck = stuck
        self._serves = serves
        self._poked = asyncio.Event()
        self.misses = 0

    def poke(self) -> None:
        """Something may have changed: a round soon. Never blocks; many pokes are one."""
        self._poked.set()

    async def run(self, one: Callable[[], Awaitable[bool]]) -> None:
        """For ever: `one` round, then wait for a poke, the end of the program, or the resync; after a round that
        returned False only as long as `retry_s` says. No two rounds begin within `every_s`."""
        failures = 0
        while True:
            self._poked.clear()
            failures = 0 if await one() else failures + 1
            await asyncio.sleep(self._every_s)
            await self._pause(failures)

    async def probe(self) -> None:
        """Ask the program now; it is ended when this was once too often without an answer."""
        why = await self._stuck()
        self.misses = self.misses + 1 if why else 0
        if self.misses >= PROBES:
            log.error("%s; replacing it", why)
            self.misses = 0
            await self._daemon.end_stuck()
            self.poke()

    async def _pause(self, failures: int) -> None:
        loop = asyncio.get_running_loop()
        limit_s = retry_s(failures) if failures else RESYNC_S * random.uniform(0.9, 1.1)  # noqa: S311
        end_s = loop.time() + limit_s
        while (left_s := end_s - loop.time()) > 0:
            if await self._woken(
                min(left_s, PROBE_AGAIN_S if self.misses else PROBE_S), watch=not failures or self._serves()
            ):
                return
            await self.probe()

    async def _woken(self, timeout_s: float, *, watch: bool) -> bool:
        """Whether there was a poke, or the program ended when that is to be watched, within the time."""
        waits: list[asyncio.Task[object]] = [asyncio.create_task(self._poked.wait())]
        if watch:  # one that ended already counts at once
            waits.append(asyncio.create_task(self._daemon.exited()))
        try:
            done, _ = await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return bool(done)
