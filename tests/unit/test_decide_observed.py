"""What people are shown: the words as a table, and which reports count."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from appliance.events import Bus, Event
from appliance.model import Desired, InstanceSpec, LauncherReport, LauncherState, Observation, Phase
from appliance.reconcile.entry import Verdict
from appliance.reconcile.observed import Observed
from appliance.reconcile.shown import shown_state
from tests.unit.test_decide import spec_of

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
R, S, X, D = Desired.RUNNING, Desired.STOPPED, Desired.SUSPENDED, Desired.DELETING
P, L = Phase, LauncherState

TABLE: list[tuple[Desired, Phase, LauncherState | None, dict[str, bool], str]] = [
    (R, P.ABSENT, None, {}, "starting"),
    (R, P.CREATING, None, {}, "starting"),
    (R, P.EXITED, None, {}, "crashed"),
    (R, P.ABSENT, None, {"gave_up": True}, "error"),
    (R, P.UNKNOWN, None, {}, "unknown"),
    (R, P.UP, None, {}, "starting"),
    (R, P.UP, L.LOADING, {}, "loading"),
    (R, P.UP, L.LOADING, {"pending": True}, "loading"),
    (R, P.UP, L.INSTALLING, {}, "installing"),
    (R, P.UP, L.STARTING, {}, "starting"),
    (R, P.UP, L.RUNNING, {}, "starting"),
    (R, P.UP, L.RUNNING, {"serving": True}, "running"),
    (R, P.UP, L.RUNNING, {"serving": True, "pending": True}, "restarting"),
    (R, P.UP, L.SAFE, {"serving": True}, "safe"),
    (R, P.UP, L.SAFE, {}, "starting"),
    (R, P.UP, L.CRASHED, {}, "crashed"),
    (R, P.UP, L.STOPPED, {}, "stopped"),
    (R, P.UP, L.STOPPED, {"pending": True}, "starting"),
    (S, P.UP, L.RUNNING, {"serving": True, "pending": True}, "stopping"),
    (S, P.UP, L.STOPPED, {}, "stopped"),
    (S, P.ABSENT, None, {}, "stopped"),
    (S, P.UP, None, {}, "stopped"),
    (X, P.UP, L.RUNNING, {"serving": True}, "suspending"),
    (X, P.STOPPING, None, {}, "suspending"),
    (X, P.ABSENT, None, {}, "suspended"),
    (X, P.EXITED, None, {}, "suspended"),
    (D, P.UP, L.RUNNING, {"serving": True}, "deleting"),
    (D, P.ABSENT, None, {}, "deleting"),
]


def report_of(state: LauncherState = L.RUNNING, **changes: Any) -> LauncherReport:
    report = LauncherReport(state, 1, 7, 8, 5, {"node": "24"}, "", "", NOW)
    return replace(report, **changes)


@pytest.mark.parametrize(("desired", "phase", "state", "flags", "word"), TABLE)
def test_words(desired: Desired, phase: Phase, state: LauncherState | None, flags: dict[str, bool], word: str) -> None:
    report = report_of(state) if state else None
    all_flags = {"pending": False, "serving": False, "gave_up": False, **flags}
    assert shown_state(desired, Observation(id="a", phase=phase), report, **all_flags) == word


class Known:
    """An `Observed` with one instance, and the states it published."""

    def __init__(self, spec: InstanceSpec | None = None) -> None:
        self.published: list[Any] = []
        self.lowered: list[str] = []
        self.verified: list[str] = []
        bus = Bus()
        bus.listen(lambda event: self.published.append(event))
        self.now_s = 100.0
        self.observed = Observed(bus, lambda: NOW, lambda: self.now_s)
        self.observed.connect(self, lambda _: None)
        self.observed.know(spec or spec_of())

    def lower(self, instance_id: str) -> None:
        self.lowered.append(instance_id)

    def verify(self, instance_id: str) -> None:
        self.verified.append(instance_id)

    def up(self, pid: int = 7) -> None:
        self.observed.seen(Observation(id="a", phase=P.UP, pid=pid, generation=2))

    @property
    def state(self) -> str:
        return self.observed.meta("a", R).state

    def states(self) -> list[str]:
        return [event.body.meta.state for event in self.published]


def test_running_is_shown_once_the_port_is_its_own() -> None:
    known = Known()
    known.up()
    known.observed.report("a", report_of())
    assert (known.state, known.verified) == ("starting", ["a"])
    known.observed.serving("a", 8)
    assert known.state == "running"
    assert known.states() == ["starting", "starting", "starting", "running"]
    assert known.published[-1].team_id == "t"


def test_crashes_are_counted_once_each_as_restarts() -> None:
    known = Known()
    known.up()
    words = [L.RUNNING, L.CRASHED, L.CRASHED, L.STARTING, L.RUNNING, L.STOPPED, L.RUNNING, L.CRASHED]
    for seq, state in enumerate(words, 1):
        known.observed.report("a", report_of(state, seq=seq))
    known.observed.report("a", report_of(L.CRASHED, seq=3))  # late, and told before
    assert known.observed.meta("a", R).restarts == 2
    known.observed.judged("a", Verdict(restarts=1))  # of its launcher
    assert known.observed.meta("a", R).restarts == 3


def test_another_node_red_is_verified_anew() -> None:
    known = Known()
    known.up()
    known.observed.report("a", report_of())
    known.observed.serving("a", 8)
    known.observed.report("a", report_of(seq=2, node_red_pid=9))
    assert known.state == "starting"
    assert known.verified == ["a", "a"]
    assert known.lowered == []  # that is for the gate to know, which saw the socket


def test_while_the_port_is_held_the_gate_is_asked_and_not_lowered() -> None:
    known = Known()
    known.up()
    known.observed.report("a", report_of())
    known.observed.serving("a", 8)
    known.lowered.clear()
    known.observed.report("a", report_of(L.STARTING, seq=2, node_red_pid=None, holding=True))
    assert (known.lowered, known.verified) == ([], ["a", "a"])
    known.observed.held("a", 7)
    known.observed.report("a", report_of(L.STARTING, seq=3, node_red_pid=9, holding=True))
    assert len(known.verified) == 2  # it is known by now
    known.observed.report("a", report_of(L.CRASHED, seq=4, node_red_pid=None))
    assert known.lowered == ["a"]


def test_a_hold_that_is_over_does_not_end_the_next_one() -> None:
    known = Known()
    known.up()
    known.observed.report("a", report_of(L.STARTING, seq=1, holding=True))
    known.observed.report("a", report_of(L.RUNNING, seq=2))
    known.now_s += 40
    known.observed.report("a", report_of(L.STARTING, seq=3, holding=True))
    known.lowered.clear()
    known.observed.held_too_long("a", 100.0, "of the first one")
    assert known.lowered == []
    known.observed.held_too_long("a", 140.0, "nobody came")
    assert known.lowered == ["a"]
    assert known.observed.meta("a", R).message == "nobody came"


def test_how_long_a_launcher_says_the_same() -> None:
    known = Known()
    known.up()
    assert known.observed.in_state_s("a") == 0
    known.observed.report("a", report_of(L.STARTING, seq=1))
    known.now_s += 30
    known.observed.report("a", report_of(L.STARTING, seq=2, message="still"))
    assert known.observed.in_state_s("a") == 30
    known.observed.report("a", report_of(L.RUNNING, seq=3))
    assert known.observed.in_state_s("a") == 0
    known.up(8)  # another launcher, which said nothing yet
    known.now_s += 30
    assert known.observed.in_state_s("a") == 0


def test_port_of_somebody_else_is_named() -> None:
    known = Known()
    known.up()
    known.observed.report("a", report_of())
    known.observed.serving("a", None, "port 1 belongs to someone")
    meta = known.observed.meta("a", R)
    assert (meta.state, meta.reason, meta.message) == ("starting", "port_not_ours", "port 1 belongs to someone")


def test_gate_is_lowered_before_the_word_is_out() -> None:
    known = Known()
    known.up()
    known.observed.report("a", report_of())
    known.observed.serving("a", 8)
    lowered_when_told: list[int] = []
    known.observed._bus.listen(lambda _: lowered_when_told.append(len(known.lowered)))
    before = len(known.lowered)
    known.observed.report("a", report_of(L.CRASHED, seq=2))
    assert lowered_when_told[0] > before


def test_restart_of_the_appliance_leaves_the_gate_open() -> None:
    """Up, but nothing said yet: the flag of before stays until there is a reason."""
    known = Known()
    known.lowered.clear()
    known.up()
    assert known.lowered == []


@pytest.mark.parametrize(
    ("late", "kept"),
    [
        (report_of(L.CRASHED, seq=1), L.RUNNING),  # the same again
        (report_of(L.CRASHED, seq=3), L.CRASHED),
        (report_of(L.CRASHED, seq=9, pid=6), L.RUNNING),  # of an earlier launcher
        (
            replace(report_of(L.CRASHED, seq=0, pid=0), plain=True),
            L.CRASHED,
        ),  # says no more
    ],
)
def test_which_reports_count(late: LauncherReport, kept: LauncherState) -> None:
    known = Known()
    known.up()
    known.observed.report("a", report_of(seq=2))
    known.observed.report("a", late)
    entry = known.observed.entry("a")
    assert entry is not None
    assert entry.own_report is not None
    assert entry.own_report.state is kept


def test_report_that_is_earlier_than_the_observation() -> None:
    known = Known()
    known.up(6)
    known.observed.report("a", report_of(L.STOPPED, pid=6))
    known.observed.seen(Observation(id="a", phase=P.CREATING))
    known.observed.report("a", report_of(L.LOADING, pid=7))
    known.up(7)
    assert known.state == "loading"


def test_words_of_a_dead_launcher_do_not_count() -> None:
    known = Known()
    known.up()
    known.observed.report("a", report_of())
    known.observed.seen(Observation(id="a", phase=P.EXITED, pid=7, reason="exited", message="signal 9"))
    meta = known.observed.meta("a", R)
    assert (meta.state, meta.reason, meta.message) == ("crashed", "exited", "signal 9")
    assert meta.launcher_pid is None


def test_stored_command_counts_as_not_carried_out() -> None:
    known = Known()
    known.up()
    known.observed.report("a", report_of())
    known.observed.serving("a", 8)
    known.observed.hear(Event("instance.changed", "a"))
    assert known.state == "restarting"
    known.observed.know(spec_of())
    assert known.state == "running"


def test_nothing_is_published_twice() -> None:
    known = Known()
    known.up()
    count = len(known.published)
    known.up()
    known.observed.judged("a", Verdict())
    known.observed.know(spec_of())
    assert len(known.published) == count


def test_unknown_instances_are_ignored() -> None:
    known = Known()
    known.observed.seen(Observation(id="stranger", phase=P.UP))
    known.observed.report("stranger", report_of())
    assert known.observed.known() == ["a"]
    assert known.observed.meta("stranger", X).state == "suspended"
    known.observed.forget("a")
    assert known.observed.known() == []


def test_when_the_launcher_tries_again_is_shown() -> None:
    known = Known()
    known.up()
    known.observed.report("a", report_of(L.CRASHED, node_red_pid=None, reason="killed", next_try_at=NOW))
    shown = known.observed.meta("a", R)
    assert (shown.state, shown.reason) == ("crashed", "killed")
    assert shown.next_try_at == NOW.isoformat(timespec="milliseconds").replace("+00:00", "Z")
