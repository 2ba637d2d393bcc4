"""What to do about one instance, given what is wanted and what is seen. Pure: no clock, no I/O, no memory.

The rules, in order:

- What can't be known is left alone. What the database does not know is an orphan: reported, never touched.
- deleting: remove. suspended: stop.
- running and stopped both want a launcher of the spec's generation; which of the two it is, the launcher carries
  out. One that is older is replaced; a wish it has not carried out is told to it, again until it says so.
- After failures there is a pause, and every transitional phase has a deadline. A launcher that lives but no longer
  answers (frozen, wedged) is replaced; one slow answer is none.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from appliance.model import Desired, InstanceSpec, LauncherReport, LauncherState, Observation, Phase
from appliance.reconcile.backoff import LAST_S, History, wish_of
from appliance.reconcile.entry import SERVING

LOOK_AGAIN = timedelta(seconds=10)
TELL_AGAIN = timedelta(seconds=10)
# It does not say what it has heard, and being told twice it does everything twice.
TELL_PLAIN_AGAIN = timedelta(minutes=5)
LONGEST_PAUSE = timedelta(seconds=LAST_S)
# Whether a launcher is still there: a minute and a half after it froze at the latest.
ASK_EVERY = timedelta(seconds=30)
ASK_AGAIN = timedelta(seconds=12)
# Of one whose reports hold no versions.
ASK_VERSIONS = timedelta(seconds=2)
ASK_LOADING = timedelta(seconds=5)
MISSES = 5
# npm has 15 minutes and Node-RED three from the launcher itself: this is for a launcher that forgot.
INSTALLING_S = 17 * 60.0
SLACK_S = 120.0


class Nothing(Struct, frozen=True):
    """All is as wanted."""


class Ensure(Struct, frozen=True):
    """Place a launcher for the spec, replacing what is there."""


class Stop(Struct, frozen=True):
    """End the launcher and all below it. With a `reason` that counts as a failure."""

    reason: str = ""
    message: str = ""


class Remove(Struct, frozen=True):
    """End it, delete its data, forget it."""


class Adopt(Struct, frozen=True):
    """A launcher from before is as wanted: ask it what it does."""


class Ask(Struct, frozen=True):
    """Find out whether the launcher still answers."""


class Tell(Struct, frozen=True):
    """Hand the wish to the living launcher."""

    command: str
    generation: int


class Wait(Struct, frozen=True):
    """Nothing now; decide again at `until`, or when something happens."""

    until: datetime
    reason: str
    message: str = ""


class GiveUp(Struct, frozen=True):
    """Nothing can be done until the spec or the box changes; looked at again at every resync."""

    reason: str
    message: str


Action = Nothing | Ensure | Stop | Remove | Adopt | Ask | Tell | Wait | GiveUp


def decide(
    spec: InstanceSpec | None,
    observation: Observation,
    report: LauncherReport | None,
    history: History,
    now: datetime,
    *,
    start_timeout: timedelta,
    in_state_s: float = 0.0,
) -> Action:
    """The one next step. `report` is of the observed launcher, or None; it has said this state for `in_state_s`."""
    if spec is None:
        return Nothing()
    if observation.phase is Phase.UNKNOWN:
        return Wait(now + LOOK_AGAIN, observation.reason, observation.message)
    if spec.desired is Desired.DELETING:
        return _paused(spec, history, now) or Remove()
    if spec.desired is Desired.SUSPENDED:
        return Nothing() if observation.phase is Phase.ABSENT else _paused(spec, history, now) or Stop()
    deadline = _in_motion(observation, history, start_timeout)
    if deadline is not None and _ahead(deadline, now, start_timeout):
        return Wait(deadline, observation.phase.value)
    if observation.phase is Phase.UP and observation.generation == spec.generation:
        silent = _silent(report, history, now, start_timeout, in_state_s)
        return silent or _living(spec, report, history, now, start_timeout)
    return _place(spec, history, now)


def _in_motion(observation: Observation, history: History, start_timeout: timedelta) -> datetime | None:
    """Until when somebody else's placement or stop is left alone; without a start time, not at all."""
    since = observation.since or history.since
    if observation.phase in (Phase.CREATING, Phase.STOPPING) and since is not None:
        return since + start_timeout
    return None


def _place(spec: InstanceSpec, history: History, now: datetime) -> Action:
    if spec.stack is None:
        return GiveUp("stack_missing", f"stack '{spec.stack_name}' is not built on this box; run: weir stack build")
    if history.refused is not None and history.refused.generation == spec.generation:
        return GiveUp(history.refused.reason, history.refused.message)
    return _paused(spec, history, now) or Ensure()


def _silent(
    report: LauncherReport | None, history: History, now: datetime, start_timeout: timedelta, in_state_s: float
) -> Stop | None:
    """Why a launcher that lives is of no use any more."""
    start_timeout_s = start_timeout.total_seconds()
    if history.misses >= MISSES:  # also one that was frozen before this appliance heard a word of it
        return Stop("launcher_frozen", f"the launcher lives, but did not answer {history.misses} times in a row")
    if report is None:
        late = history.since is not None and now >= history.since + start_timeout
        return Stop("launcher_silent", f"the launcher said nothing for {start_timeout_s:.0f} s") if late else None
    limit_s = {
        LauncherState.LOADING: start_timeout_s + SLACK_S,
        LauncherState.STARTING: start_timeout_s + SLACK_S,
        LauncherState.INSTALLING: INSTALLING_S,
    }.get(report.state)
    if limit_s is not None and in_state_s > limit_s:
        return Stop("launcher_stuck", f"the launcher has been '{report.state}' for {in_state_s:.0f} s")
    return None


def _living(
    spec: InstanceSpec, report: LauncherReport | None, history: History, now: datetime, start_timeout: timedelta
) -> Action:
    if not history.adopted:
        return Adopt()
    if report is None:
        return Wait((history.since or now) + start_timeout, "starting")
    pause = ASK_AGAIN if history.misses else ASK_EVERY
    if report.plain and report.state is LauncherState.LOADING:
        pause = ASK_LOADING  # it does not say when that is over
    if history.asked_at is None or not _ahead(history.asked_at + pause, now, pause):
        return Ask()
    if report.plain and not report.versions and not _ahead(history.asked_at + ASK_VERSIONS, now, ASK_VERSIONS):
        return Ask()
    if report.command_generation < spec.command_generation:
        if report.state is LauncherState.LOADING:
            # It is reading its settings, and they hold the wish: it says so as soon as it has them.
            return Wait(now + LOOK_AGAIN, "loading")
        return _tell(spec, report, history, now)
    if report.plain and spec.desired is Desired.STOPPED and report.state in SERVING:
        return _tell(spec, report, history, now)  # what the one before this appliance was told is not known
    return Nothing()


def _tell(spec: InstanceSpec, report: LauncherReport, history: History, now: datetime) -> Action:
    told, pause = history.told, TELL_PLAIN_AGAIN if report.plain else TELL_AGAIN
    if told is not None and told.generation == spec.command_generation and _ahead(told.at + pause, now, pause):
        return Wait(told.at + pause, "told")
    if report.plain and report.state is LauncherState.CRASHED:
        # Told to stop or restart it waits for the end of a process that has ended, for ever.
        return _paused(spec, history, now) or Stop()
    return _paused(spec, history, now) or Tell(_command(spec.desired, report.state), spec.command_generation)


def _command(desired: Desired, state: LauncherState) -> str:
    if desired is Desired.STOPPED:
        return "stop"
    return "start" if state is LauncherState.STOPPED else "restart"


def _paused(spec: InstanceSpec, history: History, now: datetime) -> Wait | None:
    """The pause after failures; what is wanted anew is not held back by it."""
    until = history.next_try_at
    if until is not None and _ahead(until, now, LONGEST_PAUSE) and history.wish == wish_of(spec):
        return Wait(until, history.reason, history.message)
    return None


def _ahead(until: datetime, now: datetime, at_most: timedelta) -> bool:
    """Whether `until` is still to come. What is further ahead than it was ever put is of before the clock was set
    back; waiting for it could take hours."""
    return now < until <= now + at_most
