"""When the next backup is due, which old ones go, and when there should have been one. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo

from appliance.store.backups import BackupRow, Plan
from appliance.store.values import from_ms

PERIODS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}
# A clock that was ahead when a backup was made must not keep the next ones away for years.
AHEAD = timedelta(days=1)


def due(plan: Plan, last: datetime | None, now: datetime, zone: tzinfo | None = None) -> bool:
    """Whether a backup has to be made now: a planned moment has come since the last one was made."""
    moment = latest(plan, now, zone)
    if moment is None:
        return False
    return last is None or last > now + AHEAD or last < moment


def latest(plan: Plan, now: datetime, zone: tzinfo | None = None) -> datetime | None:
    """The last planned moment that is not after `now`; None when nothing is planned. `zone`: that of the box."""
    period = PERIODS.get(plan.every)
    if period is None:
        return None
    local = now.astimezone(zone)
    hour, minute = (int(part) for part in plan.at.split(":"))
    if plan.every == "hour":
        moment = local.replace(minute=minute, second=0, microsecond=0)
    else:
        moment = local.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if plan.every == "week":
        moment -= timedelta(days=(moment.weekday() - plan.weekday) % 7)
    return moment if moment <= local else moment - period


def following(plan: Plan, now: datetime, zone: tzinfo | None = None) -> datetime | None:
    """The next planned moment after `now`."""
    moment = latest(plan, now, zone)
    return None if moment is None else moment + PERIODS[plan.every]


def overdue(plan: Plan, last: datetime | None, now: datetime, since: datetime) -> bool:
    """Whether two planned moments have passed without one. `since`: since when this could be known (the start)."""
    period = PERIODS.get(plan.every)
    if period is None:
        return False
    newest = since if last is None or last > now + AHEAD else last
    return now - newest > 2 * period + timedelta(hours=1)


def expired(plan: Plan, rows: Sequence[BackupRow]) -> list[BackupRow]:
    """Which may go, of `rows` in the order in which they were made: scheduled ones at the plan's place, older than as
    many good ones as are kept, but never the newest that was proven. A broken one counts for nothing, but there are
    not more of them either. What a person made is his to remove."""
    mine = [row for row in rows if row.scheduled and row.target == plan.target]
    good = [row for row in mine if row.verify_error is None]
    kept = good[-plan.keep :]
    proven = [row for row in good if row.verified_at is not None]
    since = mine.index(kept[0]) if kept else 0
    broken = [row for row in mine[since:] if row.verify_error is not None]
    stay = {row.id for row in (*kept, *proven[-1:], *broken[-plan.keep :])}
    return [row for row in mine if row.id not in stay]


def made(row: BackupRow | None) -> datetime | None:
    """When it was made."""
    return None if row is None else from_ms(row.made_at)
