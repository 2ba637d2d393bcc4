"""The clock is set under the reconciler: what it waits for is neither due at once nor years away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from appliance.errors import NOT_ASKED
from appliance.reconcile import backoff
from appliance.reconcile.backoff import History, Told
from appliance.reconcile.steps import Steps

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Hands:
    """A clock that is set, and one that only runs."""

    def __init__(self) -> None:
        self.wall = NOW
        self.even_s = 100.0

    def run(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.even_s += seconds


def test_a_clock_that_only_runs_takes_no_step() -> None:
    hands = Hands()
    steps = Steps(lambda: hands.wall, lambda: hands.even_s)
    hands.run(86_400)
    hands.wall += timedelta(milliseconds=900)  # a correction, not a step
    assert not steps.taken()


def test_each_step_is_told_once_and_both_ways() -> None:
    hands = Hands()
    steps = Steps(lambda: hands.wall, lambda: hands.even_s)
    hands.run(5)
    hands.wall -= HOUR
    assert steps.taken() == -HOUR
    assert not steps.taken()
    hands.wall += 3 * HOUR
    assert steps.taken() == 3 * HOUR


def test_who_was_not_asked_has_not_been_silent() -> None:
    history = backoff.missed(History(), NOW, "connection_refused")
    assert history.misses == 1
    assert backoff.missed(history, NOW + HOUR, NOT_ASKED) == replace(history, asked_at=NOW + HOUR)


def test_what_is_remembered_moves_along() -> None:
    history = History(next_try_at=NOW, since=NOW, asked_at=NOW, missed_at=None, told=Told(3, NOW), failures=2)
    moved = backoff.moved(history, -HOUR)
    assert moved == History(
        next_try_at=NOW - HOUR, since=NOW - HOUR, asked_at=NOW - HOUR, told=Told(3, NOW - HOUR), failures=2
    )
    assert backoff.moved(History(), HOUR) == History()
