"""When backups are due, which ones go, and when it is too long ago. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from appliance.services.backup_schedule import due, expired, following, latest, overdue
from appliance.store.backups import BackupRow, Plan
from appliance.store.values import to_ms

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)  # a Monday
ZONE = timezone(timedelta(hours=-5))
HOURLY, DAILY = Plan(every="hour", at="00:20"), Plan(every="day", at="02:30")
WEEKLY = Plan(every="week", at="02:30", weekday=6)


def row(name: str, days_ago: float, **more: object) -> BackupRow:
    fields = {"target": "", "name": name, "size_bytes": 1, "packages": False, "passphrase": False, "recipients": []}
    fields |= {"version": "1", "schema": "1", "instances": 1, "files": 1, "lacks": [], "took_s": 1.0, "scheduled": True}
    return BackupRow(id=name, made_at=to_ms(NOW - timedelta(days=days_ago)), **{**fields, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("plan", "zone", "moment"),
    [
        (Plan(), UTC, None),
        (HOURLY, UTC, datetime(2026, 11, 23, 11, 20, tzinfo=UTC)),
        (DAILY, UTC, datetime(2026, 11, 23, 2, 30, tzinfo=UTC)),
        (Plan(every="day", at="12:01"), UTC, datetime(2026, 11, 22, 12, 1, tzinfo=UTC)),
        (DAILY, ZONE, datetime(2026, 11, 23, 7, 30, tzinfo=UTC)),
        (WEEKLY, UTC, datetime(2026, 11, 22, 2, 30, tzinfo=UTC)),
        (Plan(every="week", at="12:30", weekday=0), UTC, datetime(2026, 11, 16, 12, 30, tzinfo=UTC)),
    ],
)
def test_the_last_planned_moment(plan: Plan, zone: timezone, moment: datetime | None) -> None:
    assert latest(plan, NOW, zone) == moment
    after = following(plan, NOW, zone)
    assert (after is None) is (moment is None) and (after is None or after > NOW)


@pytest.mark.parametrize(
    ("last", "wanted"),
    [
        (None, True),
        (NOW - timedelta(hours=10), True),  # before half past two
        (NOW - timedelta(hours=9), False),
        (NOW + timedelta(hours=2), False),  # a clock that was set back a little
        (NOW + timedelta(days=4000), True),  # one that was years ahead
        (datetime(1970, 1, 1, tzinfo=UTC), True),
    ],
)
def test_one_is_due_when_its_moment_has_come(last: datetime | None, wanted: bool) -> None:
    assert due(DAILY, last, NOW, UTC) is wanted
    assert due(Plan(), last, NOW, UTC) is False


def test_the_oldest_go_but_never_the_last_that_was_proven() -> None:
    plan = Plan(every="day", keep=2)
    rows = [row("a", 5), row("b", 4, verified_at=1), row("c", 3), row("d", 2), row("e", 1)]
    rows += [row("mine", 9, scheduled=False), row("elsewhere", 9, target="/x")]
    assert [each.id for each in expired(plan, rows)] == ["a", "c"]
    assert expired(Plan(every="day", keep=7), rows) == []
    broken = [row("a", 5, verified_at=1, verify_error="no"), row("b", 2), row("c", 1)]
    assert [each.id for each in expired(plan, broken)] == ["a"]


def test_backups_of_a_clock_that_was_ahead_push_out_none_that_came_after() -> None:
    plan = Plan(every="day", keep=2)
    ahead = [row("2040a", -5000), row("2040b", -5001), row("2040c", -5002)]
    today = [row("mon", 1), row("tue", 0)]
    assert [each.id for each in expired(plan, [*ahead, today[0]])] == ["2040a", "2040b"]
    assert [each.id for each in expired(plan, [*ahead, *today])] == ["2040a", "2040b", "2040c"]
    behind = [row("good", 1), row("1970", 20000), row("again", 0)]
    assert [each.id for each in expired(plan, behind)] == ["good"], "what was made last stays, whatever its date"


def test_broken_ones_push_out_no_good_one() -> None:
    plan = Plan(every="day", keep=2)
    rows = [row("a", 9), row("b", 8), row("c", 7), *(row(f"x{n}", 6 - n, verify_error="no") for n in range(4))]
    assert [each.id for each in expired(plan, rows)] == ["a", "x0", "x1"]
    only = [row(f"x{n}", 6 - n, verify_error="no") for n in range(4)]
    assert [each.id for each in expired(plan, only)] == ["x0", "x1"], "of those there is no end either"


def test_too_long_ago_is_told_after_two_that_failed() -> None:
    started = NOW - timedelta(days=30)
    assert overdue(DAILY, None, NOW, started) and not overdue(DAILY, None, NOW, NOW)
    assert overdue(DAILY, NOW - timedelta(days=3), NOW, started)
    assert not overdue(DAILY, NOW - timedelta(days=2), NOW, started)
    assert not overdue(Plan(), None, NOW, started)
