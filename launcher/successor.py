"""The next Node-RED, loaded while another one serves: at a restart, and for a hot spare always.

At most one exists. It runs the same command line in the same environment as a plain start would, holds no secret
and opens nothing until it is taken; one that does not fit what is wanted now is ended.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from launcher.child import Child
from launcher.loglines import Log
from launcher.memory import RESERVE_BYTES, Memory
from launcher.prepare import Launch, StartFailed
from launcher.process import StillAlive

WARM_S = 60.0  # much longer than a whole start: a box that is this slow starts plainly
SPARE_AFTER_S = 10.0  # what runs has settled: the spare does not slow down its start
SPARE_AGAIN_S = 60.0
_END_S = 5.0


class Successor:
    """Keeps at most one. `start` makes a process that waits; it raises StartFailed."""

    def __init__(self, start: Callable[[Launch], Child], log: Log, memory: Memory, pace: float = 1.0) -> None:
        self._pace = pace
        self._start, self._log, self._memory = start, log, memory
        self._child: Child | None = None
        self._lock = asyncio.Lock()
        self._hurry = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None
        self._short = False

    @property
    def pid(self) -> int | None:
        """The one that waits or loads."""
        return self._child.pid if self._child is not None and self._child.alive else None

    async def ready(self, launch: Launch, serving: Child) -> bool:
        """Have one loaded for exactly `launch`, beside the one that serves. False: start plainly, the log says why.

        Returns early when the one that serves has ended: from then on every moment counts.
        """
        if serving.alive:
            self._hurry.clear()
        async with self._lock:
            if not self._fits(launch):
                await self._end()
                if not self._has_room(serving):
                    return False
                try:
                    self._child = self._start(launch)
                except StartFailed as error:
                    self._log.system(f"No successor could be started ({error}): restarting plainly")
                    return False
            return await self._warmed_up()

    def hurry(self) -> None:
        """End the wait in `ready`: the one that served has ended."""
        self._hurry.set()

    def take(self, launch: Launch) -> Child | None:
        """The one that fits `launch`, loaded or about to be; it is the caller's now. None where there is none."""
        if not self._fits(launch):
            return None
        child, self._child = self._child, None
        return child

    async def end(self) -> None:
        """End it and keep none any more."""
        self.keep(None, None)
        self.hurry()
        async with self._lock:
            await self._end()

    def drop(self) -> None:
        """End at once one that nobody took: it holds memory, and the listening socket open. Never waits."""
        child, self._child = self._child, None
        if child is not None:
            child.process.signal_group(signal.SIGKILL)
            child.process.exited.add_done_callback(lambda _: child.close())

    def keep(self, launch: Launch | None, serving: Child | None) -> None:
        """Keep one always, as long as `serving` does and there is room; None: no longer (what is there stays)."""
        if self._keeping is not None:
            self._keeping.cancel()
        wanted = launch is not None and serving is not None
        self._keeping = asyncio.create_task(self._keep(launch, serving), name="spare") if wanted else None  # type: ignore[arg-type]

    async def _keep(self, launch: Launch, serving: Child) -> None:
        await asyncio.sleep(SPARE_AFTER_S * self._pace)
        while serving.alive:
            if not self._fits(launch):
                await self.ready(launch, serving)
            elif (free := self._memory.free_bytes()) is not None and free < RESERVE_BYTES:
                self._log.system("Memory is short: the hot spare is given up for now")
                async with self._lock:
                    await self._end()
                self._short = True
            await asyncio.sleep(SPARE_AGAIN_S * self._pace)

    def _fits(self, launch: Launch) -> bool:
        return self._child is not None and self._child.alive and self._child.suits(launch)

    def _has_room(self, serving: Child) -> bool:
        free = self._memory.free_bytes()
        needed = self._memory.resident_bytes(serving.pid) + RESERVE_BYTES
        if free is None or free >= needed:
            self._short = False
            return True
        if not self._short:
            self._log.system(
                f"No successor is loaded beforehand: it could take {needed >> 20} MB, and {free >> 20} MB are free"
            )
        self._short = True  # a spare that is tried again and again says it once
        return False

    async def _warmed_up(self) -> bool:
        child = self._child
        assert child is not None
        waits = [asyncio.ensure_future(child.warm.wait()), asyncio.ensure_future(self._hurry.wait())]
        try:
            await asyncio.wait(waits, timeout=WARM_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if child.alive and (child.warm.is_set() or self._hurry.is_set()):
            return True
        why = "did not load in time" if child.alive else f"ended ({child.ended})"
        self._log.system(f"The successor {why}: restarting plainly")
        await self._end()
        return False

    async def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.process.signal_group(signal.SIGKILL)  # at once, whatever becomes of the wait: it has nothing to put away
        try:
            await child.process.stop(0, _END_S)
        except StillAlive as error:
            self._log.system(f"The successor can't be ended: {error}")
        finally:
            child.close()
