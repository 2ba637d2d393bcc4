"""How much each instance may report: a bucket that fills slowly and is emptied by one per report."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

MOST_KEYS = 2000


class Meter:
    """Lets through `burst` at once and `per_s` in the long run, counted for each key apart; bounded in memory."""

    def __init__(self, clock_s: Callable[[], float], *, burst: int, per_s: float) -> None:
        self._clock_s = clock_s
        self._burst = burst
        self._per_s = per_s
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> bool:
        """Whether one more is let through now."""
        now = self._clock_s()
        left, at = self._left.pop(key, (float(self._burst), now))
        left = min(float(self._burst), left + max(0.0, now - at) * self._per_s)
        allowed = left >= 1
        self._left[key] = (left - 1 if allowed else left, now)
        if len(self._left) > MOST_KEYS:
            self._left.popitem(last=False)
        return allowed
