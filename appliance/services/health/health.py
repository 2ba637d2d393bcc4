"""Runs the checks and keeps the conditions of the box as they say."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from appliance.errors import WeirError
from appliance.services.conditions import Conditions
from appliance.services.health.trouble import Check, Seconds, Trouble

log = logging.getLogger(__name__)

TICK_S = 5.0
DEADLINE_S = 10.0
LONG_DEADLINE_S = 120.0  # a whole database is read from a slow card


class Health:
    """Each check's troubles become conditions, and go when the check no longer finds them. Where a check can say
    nothing (what it reads is away), what it said last stands."""

    def __init__(
        self,
        conditions: Conditions,
        checks: Sequence[Check],
        uptime_s: Seconds,
        *,
        deadline_s: float = DEADLINE_S,
        long_deadline_s: float = LONG_DEADLINE_S,
    ) -> None:
        self._conditions = conditions
        self._checks = checks
        self._uptime_s = uptime_s
        self._deadline_s = deadline_s
        self._long_deadline_s = long_deadline_s
        self._told: dict[str, frozenset[str]] = {}
        self._found: dict[str, Sequence[Trouble]] = {}
        self._looked: dict[str, float] = {}
        self._late: dict[str, asyncio.Task[Sequence[Trouble]]] = {}  # looks that did not end in time
        self._locks = {check.name: asyncio.Lock() for check in checks}

    async def run(self) -> None:
        """For ever: every check in its time, one after the other, so that they never load the box together."""
        try:
            while True:
                for check in self._checks:
                    await self._look(check, check.every_s)
                await asyncio.sleep(TICK_S)
        finally:
            for late in self._late.values():
                late.cancel()

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
                troubles = await self._in_time(check)
            except (OSError, WeirError) as error:
                log.debug("the check of %s can say nothing: %s", check.name, error)
                troubles = self._found.get(check.name, ())  # not that it is stuck: it came back
        self._tell(check.name, troubles)

    async def _in_time(self, check: Check) -> Sequence[Trouble]:
        """What the check finds. A disk that is gone from the network holds whoever reads it, for hours: nobody waits
        for that, and no second thread is sent after the first. Raises what the check raises."""
        late = self._late.pop(check.name, None)
        look = late or asyncio.ensure_future(check.look())
        deadline_s = self._deadline_s if check.quick else self._long_deadline_s
        try:
            await asyncio.wait({look}, timeout=0 if late else deadline_s)
        except asyncio.CancelledError:
            # Whoever asked went away. Cancelled, the look would go on in its thread, and the next one take another.
            self._late[check.name] = look
            raise
        if look.done():
            self._found[check.name] = look.result()
            return look.result()
        self._late[check.name] = look
        return [*self._found.get(check.name, ()), _stuck(check.name, deadline_s)]

    def _tell(self, name: str, troubles: Sequence[Trouble]) -> None:
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
        for key in self._told.get(name, frozenset()) - keys:
            self._conditions.clear(key)
        self._told[name] = keys


def _stuck(name: str, deadline_s: float) -> Trouble:
    return Trouble(
        f"check_stuck:{name}",
        "Something that Weir reads does not answer",
        f"The check of '{name}' has waited for more than {deadline_s:.0f} s, for a disk most likely: one on the "
        "network that is away, or one that fails. Instances run on as long as they need nothing from it.",
        "the read has neither come back nor failed",
        "See which directory of the box answers: timeout 5 df; dmesg | tail. Mount it again, or replace the disk.",
    )
