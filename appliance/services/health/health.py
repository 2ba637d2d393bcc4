"""Runs the checks and keeps the conditions of the box as they say."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from appliance.errors import WeirError
from appliance.services.conditions import Conditions
from appliance.services.health.trouble import Check, Seconds

log = logging.getLogger(__name__)

TICK_S = 5.0


class Health:
    """Each check's troubles become conditions, and go when the check no longer finds them. Where a check can say
    nothing (what it reads is away), what it said last stands."""

    def __init__(self, conditions: Conditions, checks: Sequence[Check], uptime_s: Seconds) -> None:
        self._conditions = conditions
        self._checks = checks
        self._uptime_s = uptime_s
        self._told: dict[str, frozenset[str]] = {}
        self._looked: dict[str, float] = {}
        self._locks = {check.name: asyncio.Lock() for check in checks}

    async def run(self) -> None:
        """For ever: every check in its time, one after the other, so that they never load the box together."""
        while True:
            for check in self._checks:
                await self._look(check, check.every_s)
            await asyncio.sleep(TICK_S)

    async def refresh(self) -> None:
        """Look at once at what is cheap to look at."""
        for check in self._checks:
            if check.quick:
                await self._look(check, 0)

    async def examine(self) -> None:
        """Look at everything at once, also at what takes a while."""
        for check in self._checks:
            await self._look(check, 0)

    async def _look(self, check: Check, every_s: float) -> None:
        async with self._locks[check.name]:
            looked = self._looked.get(check.name)
            if looked is not None and self._uptime_s() - looked < every_s:
                return
            self._looked[check.name] = self._uptime_s()
            try:
                troubles = await check.look()
            except (OSError, WeirError) as error:
                log.debug("the check of %s can say nothing: %s", check.name, error)
                return
        for each in troubles:
            self._conditions.raise_(
                each.key,
                title=each.title,
                cause=each.cause,
                evidence=each.evidence,
                next_step=each.next_step,
                about=each.about,
            )
        keys = frozenset(each.key for each in troubles)
        for key in self._told.get(check.name, frozenset()) - keys:
            self._conditions.clear(key)
        self._told[check.name] = keys
