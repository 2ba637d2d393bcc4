"""When to start Node-RED again after it ended unasked: a pure policy.

Only consecutive crashes count, only inside a time window, and starts that somebody asked for never do.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable

from msgspec import Struct


def jitter() -> float:
    """A random number in 0…1, without the memory that the module `random` takes."""
    return int.from_bytes(os.urandom(4)) / 2**32


def after_loop(policy: str, no_safe_mode: bool) -> str:
    """What a crash loop leads to: retry, safe or stop. A policy that is none of these is the default, safe."""
    return policy if policy in ("retry", "stop") else "retry" if no_safe_mode else "safe"


class Retry(Struct, frozen=True):
    """Start again after `delay_s`; `loop` when the crashes make a loop, and its policy says what then."""

    delay_s: float
    loop: bool
    crashes: int


class CrashLoop:
    """Counts consecutive crashes. The first crash of a Node-RED that was up, and every one after `brief_s` of running,
    is made good at once; the others wait, with full jitter from `base_s` to `cap_s`. A run of `healthy_s` forgets
    everything; `limit` crashes within `window_s`, each after less than `brief_s` of running, are a loop."""

    def __init__(
        self,
        *,
        limit: int = 5,
        window_s: float = 600,
        brief_s: float = 60,
        healthy_s: float = 600,
        base_s: float = 1,
        cap_s: float = 300,
        random: Callable[[], float] = jitter,
    ) -> None:
        self._limit, self._window_s, self._brief_s = limit, window_s, brief_s
        self._healthy_s, self._base_s, self._cap_s = healthy_s, base_s, cap_s
        self._random = random
        self._failures = 0  # in a row, and how many of them were waited after
        self._delays = 0
        self._loop = False
        self._brief: deque[float] = deque(maxlen=limit)

    def reset(self) -> None:
        """Somebody asked for a start: earlier crashes no longer count."""
        self._failures = self._delays = 0
        self._loop = False
        self._brief.clear()

    @property
    def looping(self) -> bool:
        """Whether the last crashes made a loop, and nobody has asked for a start since."""
        return self._loop

    def crashed(self, now: float, ran_s: float) -> Retry:
        """Node-RED ended after `ran_s` seconds of running (0: it never came up)."""
        if ran_s >= self._healthy_s:
            self.reset()
        if ran_s >= self._brief_s:
            self._brief.clear()  # it works for a while: safe mode would stop flows that are of use
        else:
            self._brief.append(now)
        self._loop = self._loop or self._is_loop(now)
        self._failures += 1
        at_once = ran_s > 0 and (self._failures == 1 or ran_s >= self._brief_s)
        return Retry(0.0 if at_once else self._next_delay(), self._loop, self._failures)

    def failed(self) -> Retry:
        """A start failed before there was a process: no loop, safe mode would not help."""
        self._failures += 1
        return Retry(self._next_delay(), False, self._failures)

    def _is_loop(self, now: float) -> bool:
        return len(self._brief) == self._limit and now - self._brief[0] <= self._window_s

    def _next_delay(self) -> float:
        # Bounded exponent: 2**1000 is no float.
        ceiling = min(self._cap_s, self._base_s * 2.0 ** min(self._delays, 30))
        self._delays += 1
        return ceiling * self._random()
