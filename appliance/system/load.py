"""How busy the processors are, measured between two looks."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

STAT = Path("/proc/stat")


class IdleCpus:
    """Processors that had nothing to do since the last call, as a number (1.5: one and a half); only those that this
    process may use count, and waiting for the disk is not idle. None at the first call and where it can't be known."""

    def __init__(self, read: Callable[[], str] = STAT.read_text) -> None:
        self._read = read
        self._last: tuple[int, int, int] | None = None

    def __call__(self) -> float | None:
        last, self._last = self._last, self._ticks()
        if last is None or self._last is None:
            return None
        idle, total = self._last[0] - last[0], self._last[1] - last[1]
        # Counters of idle time may step back a little (man proc_stat(5)).
        return max(0, idle) / total * self._last[2] if total > 0 else None

    def _ticks(self) -> tuple[int, int, int] | None:
        allowed = {f"cpu{number}" for number in os.sched_getaffinity(0)}
        try:
            rows = [line.split() for line in self._read().splitlines()]
            found = [[int(word) for word in row[1:9]] for row in rows if row and row[0] in allowed]
        except (OSError, ValueError):
            return None
        # user nice system idle iowait irq softirq steal
        return (sum(row[3] for row in found), sum(map(sum, found)), len(found)) if found else None
