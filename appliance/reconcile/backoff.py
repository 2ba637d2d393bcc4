"""How long to wait after failures: full jitter between nothing and a bound that doubles, 1 s to 5 minutes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from appliance.errors import NOT_ASKED
from appliance.model import Desired, InstanceSpec

FIRST_S = 1.0
LAST_S = 300.0
HEALTHY = timedelta(minutes=10)
MISS_APART = timedelta(seconds=10)  # a moment's trouble is one miss, however often one asks

Chance = Callable[[], float]  # 0 ≤ x < 1


class Told(Struct, frozen=True):
    """A wish was handed to the launcher."""

    generation: int
    at: datetime


class Refused(Struct, frozen=True):
    """A spec that can never be placed as written."""

    generation: int
    reason: str
    message: str


class Wish(Struct, frozen=True):
    """What was wanted when something failed: a new wish is tried at once."""

    desired: Desired
    generation: int
    command_generation: int


def wish_of(spec: InstanceSpec) -> Wish:
    return Wish(spec.desired, spec.generation, spec.command_generation)


class History(Struct, frozen=True):
    """What decisions need to know of the past of one instance. Kept in memory only: after a restart of the
    appliance everything is tried at once, as it should be."""

    failures: int = 0  # in a row
    restarts: int = 0  # launchers placed again after they ended by themselves
    next_try_at: datetime | None = None
    wish: Wish | None = None  # that failed
    reason: str = ""
    message: str = ""
    since: datetime | None = None  # the present launcher was placed, or adopted
    generation: int | None = None  # of that launcher
    counted_pid: int | None = None  # whose exit has been counted
    adopted: bool = False  # its launcher was asked what it does
    settled: bool = False  # it has said that its Node-RED is up, or that it is to be down
    asked_at: datetime | None = None  # it was last asked whether it is there
    missed_at: datetime | None = None  # the last miss that was counted
    misses: int = 0  # in a row
    told: Told | None = None
    refused: Refused | None = None


def delay_s(failures: int, chance: Chance) -> float:
    """Full jitter (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/), at least 50 ms."""
    bound = min(LAST_S, FIRST_S * (1 << min(max(failures, 1) - 1, 20)))
    return max(0.05, bound * chance())


def placed(history: History, now: datetime, generation: int) -> History:
    """A launcher was placed."""
    return replace(
        answered(history, now),
        since=now,
        generation=generation,
        adopted=True,
        settled=False,
        told=None,
        refused=None,
        next_try_at=None,
        reason="",
    )


def adopted(history: History, now: datetime, generation: int) -> History:
    """A launcher that was there before us was recognised."""
    return replace(answered(history, now), since=history.since or now, generation=generation, adopted=True)


def answered(history: History, now: datetime) -> History:
    """Its launcher said what it does."""
    return replace(history, asked_at=now, missed_at=None, misses=0)


def missed(history: History, now: datetime, code: str = "") -> History:
    """Its launcher, which lives, did not answer; `code` says why. Misses count when they are ten seconds apart."""
    if code == NOT_ASKED:  # that says nothing about it
        return replace(history, asked_at=now)
    if history.missed_at is not None and timedelta() <= now - history.missed_at < MISS_APART:
        return replace(history, asked_at=now)
    return replace(history, asked_at=now, missed_at=now, misses=history.misses + 1)


def told(history: History, now: datetime, generation: int) -> History:
    """Its launcher was handed this wish."""
    return replace(history, told=Told(generation, now))


def failed(history: History, spec: InstanceSpec, now: datetime, reason: str, message: str, chance: Chance) -> History:
    """Something failed. After ten healthy minutes, or with a new wish of the user's, counting starts anew; the first
    failure of what had come up is made good at once."""
    wish = wish_of(spec)
    healthy = history.since is not None and now - history.since >= HEALTHY
    failures = 1 if healthy or history.wish not in (None, wish) else history.failures + 1
    pause_s = 0.0 if failures == 1 and history.settled else delay_s(failures, chance)
    return replace(
        history,
        failures=failures,
        since=None,
        adopted=False,
        settled=False,
        wish=wish,
        next_try_at=now + timedelta(seconds=pause_s),
        reason=reason,
        message=message,
    )


def exited(
    history: History, spec: InstanceSpec, now: datetime, pid: int | None, message: str, chance: Chance
) -> History:
    """The launcher with this pid ended by itself. Counted once, and only when we have seen it live."""
    if history.since is None or history.counted_pid == pid:
        return history
    after = failed(history, spec, now, "launcher_exited", message, chance)
    return replace(after, counted_pid=pid, restarts=history.restarts + 1)


def gone(history: History) -> History:
    """It was ended because that was wanted: nothing to hold against it."""
    return History(restarts=history.restarts)


def moved(history: History, step: timedelta) -> History:
    """The same past on a clock that was set by `step`."""
    before = history.told
    return replace(
        history,
        next_try_at=_moved(history.next_try_at, step),
        since=_moved(history.since, step),
        asked_at=_moved(history.asked_at, step),
        missed_at=_moved(history.missed_at, step),
        told=Told(before.generation, before.at + step) if before is not None else None,
    )


def _moved(at: datetime | None, step: timedelta) -> datetime | None:
    return at + step if at is not None else None
