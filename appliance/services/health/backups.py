"""Backups that should have been made and were not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from appliance.services import backup_schedule
from appliance.services.health.clock import before_built
from appliance.services.health.trouble import Trouble
from appliance.store import backups
from appliance.store.engine import Store


class BackupsCheck:
    """Reads the schedule and the list; a box that was just started, or whose clock is wrong, is given time."""

    name = "backups"
    every_s = 300.0
    quick = False

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock
        self._started = clock()

    async def look(self) -> Sequence[Trouble]:
        rows, plan = await self._store.read(lambda tx: (backups.every(tx), backups.plan(tx)))
        now = self._clock()
        if before_built(now) is not None:
            return []
        last = backup_schedule.made(rows[-1] if rows else None)
        found = [overdue(plan, last)] if backup_schedule.overdue(plan, last, now, self._started) else []
        return [*found, *(broken(row) for row in rows[-1:] if row.verify_error)]


def overdue(plan: backups.Plan, last: datetime | None) -> Trouble:
    """The trouble of a schedule that is not kept."""
    when = f"the last one is of {last:%Y-%m-%d %H:%M} UTC" if last else "there is none yet"
    return Trouble(
        "backup_overdue",
        "No backup was made for too long",
        "The schedule says one "
        + {"hour": "an hour", "day": "a day", "week": "a week"}.get(plan.every, plan.every)
        + ", and at least two have failed or were not begun.",
        when,
        "Type: weir backup create. It says what is wrong: a folder that is full or not mounted, most likely.",
    )


def broken(row: backups.BackupRow) -> Trouble:
    """The trouble of a newest backup that was found to be no good."""
    return Trouble(
        "backup_broken",
        "The newest backup can't be restored",
        row.verify_error or "",
        row.name,
        "Type: weir backup create, then weir backup verify. Look at the disk that it lies on: dmesg.",
    )
