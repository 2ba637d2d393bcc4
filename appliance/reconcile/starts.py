"""Staggered starts: as many at a time as there are processors, so that forty instances at boot do not all crawl."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable

HELD_S = 20.0


class Starts:
    """Turns for starting. A turn ends when the instance has settled, at the latest after 20 s."""

    def __init__(self, at_once: int, your_turn: Callable[[str], None], held_s: float = HELD_S) -> None:
        self._at_once = at_once
        self._held_s = held_s
        self._your_turn = your_turn
        self._held: dict[str, asyncio.TimerHandle] = {}
        self._waiting: OrderedDict[str, None] = OrderedDict()
        self._called: set[str] = set()

    def take(self, key: str) -> bool:
        """Whether `key` may start now; otherwise `your_turn(key)` is called when it may."""
        if key not in self._held and len(self._held) >= self._at_once:
            self._waiting[key] = None
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
            self._next()

    def close(self) -> None:
        for timer in self._held.values():
            timer.cancel()
        self._held.clear()
        self._waiting.clear()

    def _hold(self, key: str) -> None:
        if (timer := self._held.pop(key, None)) is not None:
            timer.cancel()
        self._held[key] = asyncio.get_running_loop().call_later(self._held_s, self.settled, key)

    def _next(self) -> None:
        if self._waiting:
            key, _ = self._waiting.popitem(last=False)
            self._called.add(key)
            self._your_turn(key)
