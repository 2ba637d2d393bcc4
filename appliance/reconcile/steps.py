"""Notices that the machine's clock was set: a box without a battery begins in the past and jumps when it hears a time
server. What is remembered of an instance is moved along, so that no wait ends early and none lasts for years."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

# Slower corrections (adjtime) never differ this much between two looks.
STEP = timedelta(seconds=1)


class Steps:
    """`monotonic_s` runs on evenly whatever is done to `clock`."""

    def __init__(self, clock: Callable[[], datetime], monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._monotonic_s = monotonic_s
        self._seen = (clock(), monotonic_s())

    def taken(self) -> timedelta:
        """How far the clock was set since the last question; nothing when it only ran."""
        now, now_s = self._clock(), self._monotonic_s()
        before, before_s = self._seen
        self._seen = now, now_s
        step = (now - before) - timedelta(seconds=now_s - before_s)
        return step if abs(step) >= STEP else timedelta()
