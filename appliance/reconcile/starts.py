"""Staggered starts: the next one begins when the processors have time for it, so that forty instances at boot do not
all crawl, and none waits while the box idles."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

HELD_S = 20.0
TICK_S = 0.1
SPARE_CPUS = 0.4  # a start needs a bit less than one processor: it also waits for the disk and for us


class Starts:
    """Turns for starting: one at least, at most `at_most` at a time, and between these as many as `idle_cpus`
    allows. A turn ends when the instance has settled, at the latest after 20 s. Who waits is called by rank, then in
    the order of asking."""

    def __init__(
        self,
        at_most: int,
        your_turn: Callable[[str], None],
        idle_cpus: Callable[[], float | None] = lambda: None,
        held_s: float = HELD_S,
    ) -> None:
        self._at_most = at_most
        self._held_s = held_s
        self._your_turn = your_turn
        self._idle_cpus = idle_cpus
        self._held: dict[str, asyncio.TimerHandle] = {}
        self._waiting: dict[str, tuple[int, int]] = {}
        self._called: set[str] = set()
        self._asked = 0
        self._tick: asyncio.TimerHandle | None = None

    @property
    def held(self) -> Collection[str]:
        """Who is starting."""
        return self._held.keys()

    def take(self, key: str, rank: int = 0) -> bool:
        """Whether `key` may start now; otherwise `your_turn(key)` is called when it may."""
        free = not self._held and not self._called and not self._waiting
        if not (free or key in self._held or key in self._called):
            self._asked += 1
            self._waiting.setdefault(key, (rank, self._asked))
            self._watch()
            return False
        self._waiting.pop(key, None)
        self._called.discard(key)
        self._hold(key)
        return True

    def declined(self, key: str) -> None:
        """`key` does not want to start any more; harmless when it never did."""
        self._waiting.pop(key, None)
        if key in self._called:
            self._called.discard(key)
            self._next()

    def settled(self, key: str) -> None:
        """`key` has started, or failed; harmless when it holds no turn."""
        if (timer := self._held.pop(key, None)) is not None:
            timer.cancel()
            if not self._held and not self._called:
                self._next()

    def close(self) -> None:
        for timer in self._held.values():
            timer.cancel()
        if self._tick is not None:
            self._tick.cancel()
        self._held.clear()
        self._waiting.clear()

    def _hold(self, key: str) -> None:
        if (timer := self._held.pop(key, None)) is not None:
            timer.cancel()
        self._held[key] = asyncio.get_running_loop().call_later(self._held_s, self.settled, key)

    def _next(self) -> None:
        if self._waiting:
            key = min(self._waiting, key=self._waiting.__getitem__)
            del self._waiting[key]
            self._called.add(key)
            self._your_turn(key)

    def _watch(self) -> None:
        if self._tick is None:
            self._idle_cpus()  # what was measured long ago says nothing
            self._tick = asyncio.get_running_loop().call_later(TICK_S, self._measured)

    def _measured(self) -> None:
        """One more at each look, so that its load is seen before the one after it is called."""
        self._tick = None
        idle = self._idle_cpus()
        busy = len(self._held) + len(self._called)
        if not busy or (busy < self._at_most and idle is not None and idle >= SPARE_CPUS):
            self._next()
        if self._waiting:
            self._tick = asyncio.get_running_loop().call_later(TICK_S, self._measured)
