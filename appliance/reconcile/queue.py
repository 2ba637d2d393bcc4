"""A queue of keys: each is in it at most once, and at most one worker holds a key at a time.

A poke carries no information. Poking a key that is being worked on makes it come up again afterwards.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict


class KeyedQueue:
    """Keys to look at, now or later. All methods are called in the event loop; bounded by the number of keys."""

    def __init__(self) -> None:
        self._ready: OrderedDict[str, None] = OrderedDict()
        self._busy: set[str] = set()
        self._again: set[str] = set()
        self._later: dict[str, asyncio.TimerHandle] = {}
        self._wake = asyncio.Event()

    def poke(self, key: str) -> None:
        """Have `key` looked at as soon as a worker is free."""
        if (timer := self._later.pop(key, None)) is not None:
            timer.cancel()
        if key in self._busy:
            self._again.add(key)
        else:
            self._ready[key] = None
            self._wake.set()

    def poke_after(self, key: str, delay_s: float) -> None:
        """Have `key` looked at in `delay_s`, or sooner if that was asked for already."""
        loop = asyncio.get_running_loop()
        at = loop.time() + max(0.0, delay_s)
        timer = self._later.get(key)
        if timer is not None and timer.when() <= at:
            return
        if timer is not None:
            timer.cancel()
        self._later[key] = loop.call_at(at, self._due, key)

    async def take(self) -> str:
        """The next key; it is busy until `done`."""
        while not self._ready:
            self._wake.clear()
            await self._wake.wait()
        key, _ = self._ready.popitem(last=False)
        self._busy.add(key)
        return key

    def done(self, key: str) -> None:
        """The worker has finished with `key`; what was poked meanwhile comes up again."""
        self._busy.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.poke(key)

    def idle(self) -> bool:
        """Nothing to do and nothing being done (what waits for later does not count)."""
        return not (self._ready or self._busy)

    def close(self) -> None:
        """Cancel what was to be looked at later."""
        for timer in self._later.values():
            timer.cancel()
        self._later.clear()

    def _due(self, key: str) -> None:
        self._later.pop(key, None)
        self.poke(key)
