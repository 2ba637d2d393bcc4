"""What is known of one instance: the spec, what the driver sees, what the launcher says, what we make of it."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from appliance.model import Desired, InstanceSpec, LauncherReport, LauncherState, Observation, Phase
from appliance.schema.instances import InstanceMeta

SERVING = (LauncherState.RUNNING, LauncherState.SAFE)


class Verdict(Struct, frozen=True):
    """What the reconciler has to say: why nothing happens now, and when it acts again."""

    reason: str = ""
    message: str = ""
    next_try_at: datetime | None = None
    restarts: int = 0
    gave_up: bool = False


class Carried(Struct, frozen=True):
    """What the appliance knows of a launcher that does not say what it has carried out (`LauncherReport.plain`).

    `done`: the wish that it has carried out. `handed` was handed to it at `handed_at` (monotonic) and is under way.
    """

    pid: int
    done: int
    handed: int | None = None
    handed_at: float = 0.0


class Entry(Struct):
    """All that is known of one instance."""

    spec: InstanceSpec
    observation: Observation
    report: LauncherReport | None = None
    verdict: Verdict = Verdict()
    crashes: int = 0  # of its Node-RED, since the appliance runs
    serving_pid: int | None = None  # the Node-RED that was seen to own its port
    held_by: int | None = None  # the launcher whose socket was seen on the port
    holding_since: float | None = None  # monotonic; the launcher holds the port for a Node-RED to come
    hold_over: bool = False  # it came not in time
    state_since: float = 0.0  # monotonic; the launcher says the same state since then
    stale: bool = False  # something else may be wanted by now
    carried: Carried | None = None  # what a launcher that does not say so has carried out
    refused: str = ""  # why browsers are not let through although it says that it runs
    shown: InstanceMeta | None = None
    shown_since: datetime | None = None

    @property
    def own_report(self) -> LauncherReport | None:
        """The report, when it is of the launcher that is observed."""
        if self.report is None or self.observation.phase is not Phase.UP:
            return None
        return self.report if self.report.pid == self.observation.pid else None

    @property
    def could_serve(self) -> bool:
        """It says that its Node-RED is up."""
        report = self.own_report
        known = report is not None and (report.node_red_pid is not None or report.plain)
        return known and report is not None and report.state in SERVING

    @property
    def holds(self) -> bool:
        """It says that clients need not wait long for its next Node-RED."""
        report = self.own_report
        return report is not None and report.holding and not self.hold_over

    @property
    def may_pass(self) -> bool:
        """Browsers are let through, once the port is seen to be this instance's."""
        return self.could_serve or self.holds

    @property
    def serving(self) -> bool:
        report = self.own_report
        if report is None or not self.could_serve:
            return False
        return self.serving_pid is not None if report.plain else report.node_red_pid == self.serving_pid

    @property
    def passes(self) -> bool:
        """Nothing more has to be found out before browsers are let through."""
        return self.serving or (not self.could_serve and self.holds and self.held_by == self.observation.pid)


def accepted(entry: Entry, report: LauncherReport, now_s: float = 0.0) -> LauncherReport | None:
    """The report as it counts, None for late words: of an earlier launcher, or out of order."""
    old = entry.report
    if report.plain:
        return _completed(entry, report, now_s)
    if old is None:
        return report
    if old.pid == report.pid:
        return report if report.seq > old.seq or report.seq == 0 else None
    return None if old.pid == entry.observation.pid else report


# A stop takes ten seconds at most, then two pass before it reads its settings.
GIVEN_UP_S = 30.0
LOADED_S = 9.0  # its settings are there long since


def _completed(entry: Entry, report: LauncherReport, now_s: float) -> LauncherReport:
    """The published launcher says its state and no more: its word is taken for that of the launcher that is seen, and
    what it has carried out is concluded from what it was handed."""
    old = entry.report if entry.report is not None and entry.report.pid == entry.observation.pid else None
    pid = entry.observation.pid or 0
    carried = entry.carried
    if carried is None or carried.pid != pid:
        # It has read its settings after it was placed; of one that was there before us nothing else is known.
        carried = Carried(pid, entry.spec.command_generation)
    since_s = now_s - entry.state_since if old is not None else 0.0
    state = _meant(report.state, entry.spec.desired, old, carried, since_s)
    entry.carried = carried = _concluded(carried, entry.spec.desired, state, now_s)
    return replace(
        report,
        state=state,
        seq=old.seq + 1 if old else 1,
        pid=pid,
        command_generation=carried.done,
        versions=report.versions or (old.versions if old else {}),
    )


def _meant(
    state: LauncherState, desired: Desired, old: LauncherReport | None, carried: Carried, since_s: float
) -> LauncherState:
    """One that is placed to stay stopped reads its settings and says "loading" from then on, for ever. It loads anew
    only when it is told to start."""
    if state is not LauncherState.LOADING:
        return state
    before = old.state if old is not None and carried.handed is None else None
    idle = before is LauncherState.STOPPED or (before is LauncherState.LOADING and since_s > LOADED_S)
    return LauncherState.STOPPED if idle or desired is Desired.STOPPED else state


def _concluded(carried: Carried, desired: Desired, state: LauncherState, now_s: float) -> Carried:
    if carried.handed is None:
        return carried
    over = state is LauncherState.STOPPED and now_s - carried.handed_at > GIVEN_UP_S
    as_wanted = state is LauncherState.STOPPED if desired is Desired.STOPPED else state in SERVING
    return replace(carried, done=carried.handed, handed=None) if over or as_wanted else carried
