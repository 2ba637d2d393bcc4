"""What is known of one instance: the spec, what the driver sees, what the launcher says, what we make of it."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from appliance.model import InstanceSpec, LauncherReport, LauncherState, Observation, Phase
from appliance.schema.instances import InstanceMeta

SERVING = (LauncherState.RUNNING, LauncherState.SAFE)


class Verdict(Struct, frozen=True):
    """What the reconciler has to say: why nothing happens now, and when it acts again."""

    reason: str = ""
    message: str = ""
    next_try_at: datetime | None = None
    restarts: int = 0
    gave_up: bool = False


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
        return report is not None and report.state in SERVING and report.node_red_pid is not None

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
        return self.could_serve and report is not None and report.node_red_pid == self.serving_pid

    @property
    def passes(self) -> bool:
        """Nothing more has to be found out before browsers are let through."""
        return self.serving or (not self.could_serve and self.holds and self.held_by == self.observation.pid)


def accepted(entry: Entry, report: LauncherReport) -> LauncherReport | None:
    """The report as it counts, None for late words: of an earlier launcher, or out of order."""
    old = entry.report
    if report.pid == 0:
        # The published launcher says its state and no more.
        seq = old.seq + 1 if old else 1
        return _completed(report, pid=entry.observation.pid or 0, seq=seq, old=old)
    if old is None:
        return report
    if old.pid == report.pid:
        return report if report.seq > old.seq or report.seq == 0 else None
    return None if old.pid == entry.observation.pid else report


def _completed(report: LauncherReport, *, pid: int, seq: int, old: LauncherReport | None) -> LauncherReport:
    return replace(
        report,
        seq=seq,
        pid=pid,
        node_red_pid=report.node_red_pid or (old.node_red_pid if old else None),
        command_generation=max(report.command_generation, old.command_generation if old else 0),
        versions=report.versions or (old.versions if old else {}),
    )
