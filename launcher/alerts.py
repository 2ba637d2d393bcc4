"""Whether an instance has taken too much for some minutes: a pure policy over its samples."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from launcher.schema import Alert

SAMPLES = 30  # five minutes
CPU, MEMORY, HEAP, LAG = "cpu", "memory", "heap", "lag"
# Percent of what it may take; lag in seconds.
THRESHOLDS = {CPU: 75.0, MEMORY: 75.0, HEAP: 90.0, LAG: 1.0}
_GOOD_AGAIN = 0.9  # of the threshold: a value that hovers at it is told once


class Alerts:
    """Averages over the last `SAMPLES` samples, `every_s` apart; nothing is judged before there are as many."""

    def __init__(self, every_s: float = 10.0) -> None:
        self.interval_s = round(SAMPLES * every_s)
        self._values = {kind: deque[float](maxlen=SAMPLES) for kind in THRESHOLDS}
        self._raised: dict[str, Alert] = {}

    @property
    def current(self) -> list[Alert]:
        """What is too much now."""
        return list(self._raised.values())

    def forget(self) -> None:
        """The samples to come have nothing to do with those so far."""
        for held in self._values.values():
            held.clear()
        self._raised.clear()

    def sampled(self, values: Mapping[str, float | None], now_ms: int) -> list[Alert]:
        """Take in one sample; what has become too much with it. A value that is not known changes nothing."""
        fresh = []
        for kind, value in values.items():
            if value is None:
                continue
            held = self._values[kind]
            held.append(value)
            if len(held) == SAMPLES:
                fresh += self._judge(kind, sum(held) / SAMPLES, now_ms)
        return fresh

    def _judge(self, kind: str, average: float, now_ms: int) -> list[Alert]:
        known, threshold = self._raised.get(kind), THRESHOLDS[kind]
        if known is None and average <= threshold:
            return []
        if known is not None and average < threshold * _GOOD_AGAIN:
            del self._raised[kind]
            return []
        alert = Alert(
            kind, round(average, 1), threshold, now_ms - self.interval_s * 1000 if known is None else known.since
        )
        self._raised[kind] = alert
        return [] if known is not None else [alert]
