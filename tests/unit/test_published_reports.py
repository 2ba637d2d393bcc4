"""A launcher that says its state and no more: what it has carried out is concluded, and it is told nothing twice."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from msgspec.structs import replace

from appliance.model import Desired, LauncherReport, LauncherState, Observation, Phase
from appliance.published_client import page_of
from appliance.reconcile.backoff import History, Told
from appliance.reconcile.decide import Ask, Nothing, Stop, Tell, Wait, decide
from appliance.reconcile.entry import GIVEN_UP_S, LOADED_S, Carried, Entry, accepted
from tests.unit.test_decide import NOW, spec_of

L = LauncherState
UP = Observation(id="a", phase=Phase.UP, generation=2, pid=5)
START = timedelta(seconds=180)


def says(state: LauncherState, **more: Any) -> LauncherReport:
    plain = LauncherReport(
        state=state,
        seq=0,
        pid=0,
        node_red_pid=None,
        command_generation=0,
        versions={},
        reason="",
        message="",
        at=NOW,
        plain=True,
    )
    return replace(plain, **more)


def entry_of(desired: Desired = Desired.RUNNING, command_generation: int = 1) -> Entry:
    return Entry(spec_of(desired=desired, command_generation=command_generation), UP)


def done(entry: Entry, state: LauncherState, now_s: float = 0.0) -> int:
    """The wish that counts as carried out after this word."""
    report = accepted(entry, says(state, versions={"launcher": "2"}), now_s)
    assert report is not None and report.pid == 5
    entry.report = report
    return report.command_generation


def shown_by(entry: Entry) -> LauncherState | None:
    return entry.report.state if entry.report is not None else None


def test_the_first_word_of_a_launcher_is_taken_to_be_up_to_date() -> None:
    assert done(entry_of(command_generation=7), L.RUNNING) == 7


def test_a_wish_after_its_placement_is_not_taken_for_carried_out() -> None:
    entry = entry_of(command_generation=8)
    entry.carried = Carried(5, 7)
    assert done(entry, L.RUNNING) == 7, "else a restart would be lost without a word"


def test_a_restart_is_carried_out_when_it_runs_again_not_while_it_stops() -> None:
    entry = entry_of(command_generation=2)
    entry.carried = Carried(5, 1, handed=2, handed_at=0.0)
    assert done(entry, L.STOPPED, 1.0) == 1
    assert done(entry, L.STARTING, 3.0) == 1
    assert done(entry, L.RUNNING, 9.0) == 2


def test_a_start_that_failed_is_not_waited_for_for_ever() -> None:
    entry = entry_of(command_generation=2)
    entry.carried = Carried(5, 1, handed=2, handed_at=0.0)
    assert done(entry, L.STOPPED, GIVEN_UP_S - 1) == 1
    assert done(entry, L.STOPPED, GIVEN_UP_S + 1) == 2


def test_another_launcher_has_carried_out_what_was_wanted_when_it_began() -> None:
    entry = entry_of(command_generation=4)
    entry.carried = Carried(99, 1, handed=2)
    assert done(entry, L.RUNNING) == 4


def test_one_that_is_placed_to_stay_stopped_says_loading_for_ever_and_means_stopped() -> None:
    entry = entry_of(Desired.STOPPED, command_generation=3)
    done(entry, L.LOADING)
    assert shown_by(entry) is L.STOPPED
    entry.spec = replace(entry.spec, desired=Desired.RUNNING, command_generation=4)
    assert done(entry, L.LOADING) == 3
    assert entry.report is not None
    assert action(entry, entry.report) == Tell("start", 4), "a restart it would ignore in this state"
    entry.carried = Carried(5, 3, handed=4)
    done(entry, L.LOADING)
    assert shown_by(entry) is L.LOADING, "now it really loads"


def test_one_that_loads_for_long_has_nothing_to_start_and_is_told() -> None:
    """It was wanted only after it had read that it is to stay stopped."""
    entry = entry_of(command_generation=4)
    entry.carried = Carried(5, 3)
    done(entry, L.LOADING, 1.0)
    assert shown_by(entry) is L.LOADING
    done(entry, L.LOADING, LOADED_S + 1)
    assert shown_by(entry) is L.STOPPED and entry.report is not None
    assert action(entry, entry.report) == Tell("start", 4)


def action(entry: Entry, report: LauncherReport, history: History | None = None) -> object:
    history = history or History(adopted=True, asked_at=NOW)
    return decide(entry.spec, UP, report, history, NOW, start_timeout=START)


def test_a_crashed_one_is_replaced_because_it_would_wait_for_ever() -> None:
    report = says(L.CRASHED, pid=5, command_generation=1, versions={"launcher": "2"})
    assert action(entry_of(command_generation=2), report) == Stop()


def test_it_is_told_once() -> None:
    entry, report = entry_of(command_generation=2), says(L.RUNNING, pid=5, command_generation=1, versions={"node": "1"})
    assert action(entry, report) == Tell("restart", 2)
    told = History(adopted=True, asked_at=NOW, told=Told(2, NOW - timedelta(seconds=60)))
    assert isinstance(action(entry, report, told), Wait), "a second restart would interrupt the first"


def test_one_that_runs_though_it_should_not_is_told_after_an_appliance_forgot() -> None:
    entry = entry_of(Desired.STOPPED, command_generation=3)
    assert action(entry, says(L.RUNNING, pid=5, command_generation=3, versions={"node": "1"})) == Tell("stop", 3)


def test_versions_are_asked_for_once_and_a_launcher_without_any_is_left_alone() -> None:
    entry, report = entry_of(), says(L.RUNNING, pid=5, command_generation=1)
    assert action(entry, report, History(adopted=True, asked_at=NOW - timedelta(seconds=5))) == Ask()
    assert action(entry, report) == Nothing()


RING = [{"ts": f"17000000000{n:02d}0000", "msg": n} for n in range(10)]


def shown(cursor: str | None, limit: int) -> list[int]:
    return [entry["msg"] for entry in page_of(RING, cursor, limit).log]


def test_pages_of_the_ring() -> None:
    assert shown(None, 3) == [7, 8, 9]
    assert shown(RING[2]["ts"], 3) == [2, 3, 4]  # type: ignore[arg-type]
    assert shown(f"-{RING[2]['ts']}", 2) == [1, 2]
    assert shown(f"-{0:017d}", 5) == [] and shown("9" * 17, 5) == []
    assert page_of([], None, 5).meta == {}


def test_the_beginning_of_the_ring_has_no_page_before_it() -> None:
    assert "previous_cursor" not in page_of(RING, f"-{RING[2]['ts']}", 5).meta
    assert page_of(RING, None, 5).meta["previous_cursor"] == f"-{int(RING[5]['ts']) - 1:017d}"  # type: ignore[call-overload]
