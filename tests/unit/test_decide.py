"""`decide` as a table, and as a property: where driver and launcher behave, it comes to rest at what is wanted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from appliance.model import Desired, InstanceSpec, LauncherReport, LauncherState, Observation, Phase, StackRef
from appliance.reconcile import backoff
from appliance.reconcile.backoff import History, Refused, Told, wish_of
from appliance.reconcile.decide import (
    MISSES,
    Action,
    Adopt,
    Ask,
    Ensure,
    GiveUp,
    Nothing,
    Remove,
    Stop,
    Tell,
    Wait,
    decide,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
TIMEOUT = timedelta(seconds=180)
STACK = StackRef("s", "/node", "/stack")


def spec_of(desired: Desired = Desired.RUNNING, **changes: Any) -> InstanceSpec:
    spec = InstanceSpec(
        id="a",
        name="a",
        team_id="t",
        desired=desired,
        generation=2,
        command_generation=5,
        number=0,
        node_red_port=1,
        launcher_port=2,
        public_port=3,
        stack=STACK,
        stack_name="s",
    )
    return replace(spec, **changes)


def seen(phase: Phase = Phase.UP, **changes: Any) -> Observation:
    return replace(Observation(id="a", phase=phase, generation=2, pid=7), **changes)


def said(state: LauncherState = LauncherState.RUNNING, command_generation: int = 5) -> LauncherReport:
    return LauncherReport(state, 1, 7, 8, command_generation, {}, "", "", NOW)


LIVING = History(since=NOW - timedelta(minutes=1), adopted=True, asked_at=NOW)
MISSED = replace(LIVING, misses=MISSES - 1, missed_at=NOW)
FROZEN = replace(LIVING, misses=MISSES, missed_at=NOW)
FAILED = History(failures=3, next_try_at=NOW + timedelta(seconds=9), wish=wish_of(spec_of()), reason="r", message="m")
HOURS = timedelta(hours=2)
AHEAD = replace(FAILED, next_try_at=NOW + HOURS)
LATE = History(since=NOW - timedelta(minutes=4), adopted=True, asked_at=NOW)
ABSENT, EXITED, UNKNOWN = seen(Phase.ABSENT), seen(Phase.EXITED), seen(Phase.UNKNOWN, reason="why")
LOADING, STOPPED = LauncherState.LOADING, LauncherState.STOPPED
BEHIND = said(command_generation=4)

TABLE: list[tuple[str, InstanceSpec | None, Observation, LauncherReport | None, History, Action | type[Action]]] = [
    ("orphans are left alone", None, seen(), None, History(), Nothing()),
    ("unknown is left alone", spec_of(), UNKNOWN, None, History(), Wait),
    ("unknown is left alone when deleting", spec_of(Desired.DELETING), UNKNOWN, None, History(), Wait),
    ("first start", spec_of(), ABSENT, None, History(), Ensure()),
    ("a stopped one wants its launcher too", spec_of(Desired.STOPPED), ABSENT, None, History(), Ensure()),
    ("ended while nobody looked", spec_of(), EXITED, None, History(), Ensure()),
    ("after failures a pause", spec_of(), EXITED, None, FAILED, Wait(FAILED.next_try_at, "r", "m")),  # type: ignore[arg-type]
    ("no pause from before the clock was set back", spec_of(), EXITED, None, AHEAD, Ensure()),
    ("no pause for a new wish", spec_of(generation=3), EXITED, None, FAILED, Ensure()),
    ("no pause for a stop", spec_of(Desired.SUSPENDED), EXITED, None, FAILED, Stop()),
    ("old generation is replaced", spec_of(), seen(generation=1), None, LIVING, Ensure()),
    ("newer generation too", spec_of(), seen(generation=3), None, LIVING, Ensure()),
    ("found running", spec_of(), seen(), None, History(), Adopt()),
    ("found running and heard of", spec_of(), seen(), said(), History(), Adopt()),
    ("all well", spec_of(), seen(), said(), LIVING, Nothing()),
    ("silent so far", spec_of(), seen(), None, LIVING, Wait),
    ("silent too long", spec_of(), seen(), None, LATE, Stop),
    ("never silent once it spoke", spec_of(), seen(), said(), LATE, Nothing()),
    ("asked long ago", spec_of(), seen(), said(), replace(LIVING, asked_at=NOW - timedelta(seconds=31)), Ask()),
    ("asked before the clock was set back", spec_of(), seen(), said(), replace(LIVING, asked_at=NOW + HOURS), Ask()),
    ("missed a few times", spec_of(), seen(), said(), MISSED, Nothing()),
    ("asked again sooner", spec_of(), seen(), said(), replace(MISSED, asked_at=NOW - timedelta(seconds=13)), Ask()),
    ("frozen", spec_of(), seen(), said(), FROZEN, Stop),
    ("frozen before it said a word", spec_of(), seen(), None, replace(FROZEN, adopted=False), Stop),
    ("frozen, and nobody wants it", spec_of(Desired.SUSPENDED), seen(), said(), FROZEN, Stop()),
    ("restart", spec_of(), seen(), BEHIND, LIVING, Tell("restart", 5)),
    ("start", spec_of(), seen(), said(STOPPED, 4), LIVING, Tell("start", 5)),
    ("stop", spec_of(Desired.STOPPED), seen(), BEHIND, LIVING, Tell("stop", 5)),
    ("reading its settings", spec_of(), seen(), said(LOADING, 0), LIVING, Wait),
    ("told just now", spec_of(), seen(), BEHIND, replace(LIVING, told=Told(5, NOW)), Wait),
    ("told long ago", spec_of(), seen(), BEHIND, replace(LIVING, told=Told(5, NOW - TIMEOUT)), Tell("restart", 5)),
    ("told before the clock was set back", spec_of(), seen(), BEHIND, replace(LIVING, told=Told(5, NOW + HOURS)), Tell),
    ("told something else", spec_of(), seen(), BEHIND, replace(LIVING, told=Told(4, NOW)), Tell("restart", 5)),
    ("suspend", spec_of(Desired.SUSPENDED), seen(), said(), LIVING, Stop()),
    ("suspended", spec_of(Desired.SUSPENDED), ABSENT, None, History(), Nothing()),
    ("delete", spec_of(Desired.DELETING), seen(), said(), LIVING, Remove()),
    ("delete what is not there", spec_of(Desired.DELETING), ABSENT, None, History(), Remove()),
    ("no stack", spec_of(stack=None), ABSENT, None, History(), GiveUp),
    ("no stack harms nobody who runs", spec_of(stack=None), seen(), said(), LIVING, Nothing()),
    ("no stack to replace with", spec_of(stack=None), seen(generation=1), said(), LIVING, GiveUp),
    ("no stack is needed to stop", spec_of(Desired.SUSPENDED, stack=None), seen(), said(), LIVING, Stop()),
    ("refused for good", spec_of(), ABSENT, None, History(refused=Refused(2, "bad", "why")), GiveUp("bad", "why")),
    ("refused before a change", spec_of(), ABSENT, None, History(refused=Refused(1, "bad", "why")), Ensure()),
    ("placed by somebody just now", spec_of(), seen(Phase.CREATING, since=NOW), None, History(), Wait),
    ("placed by nobody for too long", spec_of(), seen(Phase.CREATING, since=NOW - TIMEOUT), None, History(), Ensure()),
]  # fmt: skip


@pytest.mark.parametrize(("_", "spec", "observation", "report", "history", "wanted"), TABLE, ids=[r[0] for r in TABLE])
def test_table(
    _: str,
    spec: InstanceSpec | None,
    observation: Observation,
    report: LauncherReport | None,
    history: History,
    wanted: Action | type[Action],
) -> None:
    action = decide(spec, observation, report, history, NOW, start_timeout=TIMEOUT)
    assert isinstance(action, wanted) if isinstance(wanted, type) else action == wanted


STUCK: list[tuple[LauncherState, float, bool]] = [
    (LauncherState.LOADING, 299, False),
    (LauncherState.LOADING, 301, True),
    (LauncherState.STARTING, 299, False),
    (LauncherState.STARTING, 301, True),
    (LauncherState.INSTALLING, 16 * 60, False),  # npm's own limit is 15 minutes
    (LauncherState.INSTALLING, 18 * 60, True),
    (LauncherState.RUNNING, 1e6, False),
    (LauncherState.CRASHED, 1e6, False),
]


@pytest.mark.parametrize(("state", "for_s", "stuck"), STUCK)
def test_no_phase_of_a_start_lasts_for_ever(state: LauncherState, for_s: float, stuck: bool) -> None:
    action = decide(spec_of(), seen(), said(state), LIVING, NOW, start_timeout=TIMEOUT, in_state_s=for_s)
    assert (isinstance(action, Stop) and action.reason == "launcher_stuck") == stuck


def test_misses_count_when_they_are_apart() -> None:
    """Whatever asks, and however often: a moment's trouble is one miss."""
    history = LIVING
    for second in range(9):
        history = backoff.missed(history, NOW + timedelta(seconds=second))
    assert history.misses == 1
    history = backoff.missed(history, NOW + timedelta(seconds=20))
    assert history.misses == 2
    history = backoff.missed(history, NOW - HOURS)  # the clock was set back
    assert history.misses == 3
    assert backoff.answered(history, NOW).misses == 0


def test_missing_stack_says_what_to_type() -> None:
    action = decide(spec_of(stack=None), ABSENT, None, History(), NOW, start_timeout=TIMEOUT)
    assert isinstance(action, GiveUp)
    assert (action.reason, "weir stack build" in action.message) == ("stack_missing", True)


class World:
    """A driver and a launcher that behave, for one instance; time passes only when the reconciler waits."""

    def __init__(self, spec: InstanceSpec, observation: Observation, report: LauncherReport | None, history: History):
        self.spec: InstanceSpec | None = spec
        self.observation, self.report, self.history = observation, report, history
        self.now = NOW
        self.launchers = 1 if observation.phase is Phase.UP else 0
        self.asleep = False

    def step(self) -> Action:
        report = self.report if self.observation.phase is Phase.UP else None
        action = decide(self.spec, self.observation, report, self.history, self.now, start_timeout=TIMEOUT)
        match action:
            case Ensure():
                self.place()
            case Stop() | Remove():
                self.launchers, self.observation, self.report = 0, ABSENT, None
                self.history = History()
                self.spec = None if isinstance(action, Remove) else self.spec
            case Ask():
                self.history = backoff.answered(self.history, self.now)
            case Adopt():
                self.history = backoff.adopted(self.history, self.now, self.observation.generation)
                self.speak()
            case Tell():
                self.history = replace(self.history, told=Told(action.generation, self.now))
                self.speak()
            case Wait():
                self.now = max(self.now, action.until)
                if self.observation.phase is Phase.UP:
                    self.speak()
                elif self.observation.phase in (Phase.CREATING, Phase.STOPPING):
                    self.observation, self.launchers = ABSENT, 0
            case Nothing() | GiveUp():
                self.asleep = True
        return action

    def place(self) -> None:
        assert self.spec is not None
        assert self.spec.stack is not None
        self.launchers = 1  # ensure ends what was there first
        self.observation = seen(generation=self.spec.generation, since=self.now)
        self.report = None
        self.history = backoff.placed(self.history, self.now, self.spec.generation)

    def speak(self) -> None:
        """The launcher has read its settings, or carried out what it was told."""
        assert self.spec is not None
        state = LauncherState.RUNNING if self.spec.desired is Desired.RUNNING else LauncherState.STOPPED
        self.report = said(state, self.spec.command_generation)


TIMES = st.integers(-3600, 3600).map(lambda s: NOW + timedelta(seconds=s))
HISTORIES = st.builds(
    History,
    failures=st.integers(0, 30),
    next_try_at=st.none() | TIMES,
    wish=st.none() | st.just(wish_of(spec_of())),
    since=st.none() | TIMES,
    adopted=st.booleans(),
    told=st.none() | st.builds(Told, st.integers(3, 6), TIMES),
    settled=st.booleans(),
    asked_at=st.none() | TIMES,
    missed_at=st.none() | TIMES,
    misses=st.integers(0, 9),
)
OBSERVATIONS = st.builds(seen, st.sampled_from(list(Phase)), generation=st.integers(1, 3), since=st.none() | TIMES)
REPORTS = st.none() | st.builds(said, st.sampled_from(list(LauncherState)), st.integers(3, 5))


@settings(deadline=None)
@given(st.sampled_from(list(Desired)), st.booleans(), OBSERVATIONS, REPORTS, HISTORIES)
def test_comes_to_rest_at_what_is_wanted(
    desired: Desired, stack: bool, observation: Observation, report: LauncherReport | None, history: History
) -> None:
    world = World(spec_of(desired, stack=STACK if stack else None), observation, report, history)
    actions: list[Action] = []
    for _ in range(30):
        actions.append(world.step())
        assert world.launchers <= 1
        if world.asleep:
            break
        if observation.phase is Phase.UNKNOWN:
            assert isinstance(actions[-1], Wait)
            return
    assert world.asleep, actions
    match desired:
        case Desired.DELETING:
            assert world.spec is None
        case Desired.SUSPENDED:
            assert world.observation.phase is Phase.ABSENT
        case _ if isinstance(actions[-1], GiveUp):
            assert not stack
        case _:
            assert world.report is not None
            assert (world.observation.phase, world.observation.generation) == (Phase.UP, 2)
            assert world.report.command_generation == 5


@given(st.integers(-5, 10_000), st.floats(0, 1, exclude_max=True))
def test_delay_stays_within_its_bounds(failures: int, chance: float) -> None:
    assert 0.05 <= backoff.delay_s(failures, lambda: chance) <= 300


def test_an_exit_is_counted_once() -> None:
    once = backoff.exited(LIVING, spec_of(), NOW, 7, "gone", lambda: 0.5)
    assert (once.failures, once.restarts) == (1, 1)
    assert backoff.exited(once, spec_of(), NOW, 7, "gone", lambda: 0.5) == once


def test_exit_that_nobody_saw_is_not_held_against_it() -> None:
    assert backoff.exited(History(), spec_of(), NOW, 7, "gone", lambda: 0.5) == History()


def test_what_had_come_up_is_replaced_at_once_but_not_again_and_again() -> None:
    history = replace(LIVING, settled=True)
    first = backoff.exited(history, spec_of(), NOW, 7, "gone", lambda: 0.5)
    assert first.next_try_at == NOW
    again = replace(backoff.placed(first, NOW, 2), settled=True)
    second = backoff.exited(again, spec_of(), NOW, 8, "gone", lambda: 0.5)
    assert second.next_try_at == NOW + timedelta(seconds=1)
    never_up = backoff.exited(LIVING, spec_of(), NOW, 7, "gone", lambda: 0.5)
    assert never_up.next_try_at == NOW + timedelta(seconds=0.5)


def test_ten_healthy_minutes_forgive() -> None:
    history = replace(LIVING, failures=6, wish=wish_of(spec_of()), since=NOW - timedelta(minutes=11))
    assert backoff.failed(history, spec_of(), NOW, "r", "m", lambda: 0.5).failures == 1
    history = replace(history, since=NOW - timedelta(minutes=9))
    assert backoff.failed(history, spec_of(), NOW, "r", "m", lambda: 0.5).failures == 7


def test_a_new_wish_starts_counting_anew() -> None:
    assert backoff.failed(FAILED, spec_of(generation=9), NOW, "r", "m", lambda: 0.5).failures == 1
