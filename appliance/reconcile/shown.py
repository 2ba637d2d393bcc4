"""What people are shown of an instance: one word of the reference (instance protocol §5), and why. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from appliance.model import Desired, LauncherReport, LauncherState, Observation, Phase
from appliance.reconcile.entry import SERVING, Entry
from appliance.schema.instances import InstanceMeta


def shown_state(
    desired: Desired,
    observation: Observation,
    report: LauncherReport | None,
    *,
    pending: bool,
    serving: bool,
    gave_up: bool,
) -> str:
    """The word of the reference (instance protocol §5) for what is wanted and seen.

    `report` is of the observed launcher. `pending`: a wish was not carried out yet. `serving`: Node-RED was seen to
    own its port. `gave_up`: the reconciler can't go on by itself.
    """
    if desired is Desired.DELETING:
        return "deleting"
    if desired is Desired.SUSPENDED:
        return "suspended" if observation.phase in (Phase.ABSENT, Phase.EXITED) else "suspending"
    if observation.phase is Phase.UNKNOWN:
        return "unknown"
    if desired is Desired.STOPPED:
        return "stopping" if report is not None and report.state is not LauncherState.STOPPED else "stopped"
    if observation.phase is not Phase.UP or report is None:
        return _starting(observation, gave_up)
    return _running(report, pending, serving)


def _starting(observation: Observation, gave_up: bool) -> str:
    if gave_up:
        return "error"
    return "crashed" if observation.phase is Phase.EXITED else "starting"


def _running(report: LauncherReport, pending: bool, serving: bool) -> str:
    if report.state is LauncherState.STOPPED:
        # With nothing to be carried out it stays so: the installation of modules failed, or somebody stopped it.
        return "starting" if pending else "stopped"
    if pending and report.state is not LauncherState.LOADING:
        return "restarting"
    if report.state in SERVING and not serving:
        return "starting"
    return report.state.value


def meta(entry: Entry, desired: Desired, since: datetime | None) -> InstanceMeta:
    """The live state on the wire."""
    report, verdict = entry.own_report, entry.verdict
    paused = entry.spec.paused if desired in (Desired.RUNNING, Desired.STOPPED, entry.spec.desired) else ""
    desired = Desired.SUSPENDED if paused else desired
    state = shown_state(
        desired,
        entry.observation,
        report,
        pending=entry.stale or (report is not None and report.command_generation < entry.spec.command_generation),
        serving=entry.serving,
        gave_up=verdict.gave_up,
    )
    reason, message = ("maintenance", paused) if paused else _why(entry, state)
    return InstanceMeta(
        state=state,
        versions=entry.report.versions if entry.report else {},
        reason=reason,
        message=message,
        next_try_at=iso(verdict.next_try_at or (report.next_try_at if report else None)),
        restarts=verdict.restarts + entry.crashes,
        since=iso(since),
        launcher_pid=entry.observation.pid if entry.observation.phase is Phase.UP else None,
        node_red_pid=_node_red(entry),
    )


def _node_red(entry: Entry) -> int | None:
    report = entry.own_report
    if report is None:
        return None
    return entry.serving_pid if report.plain else report.node_red_pid


def _why(entry: Entry, state: str) -> tuple[str, str]:
    report = entry.own_report
    if entry.refused and entry.could_serve:
        return "port_not_ours", entry.refused
    if entry.hold_over and entry.refused:
        return "held_too_long", entry.refused
    for said in (entry.verdict, report, entry.observation):
        if said is not None and said.reason:
            return said.reason, said.message
    if state == "stopped" and report is not None and report.plain and entry.spec.desired is Desired.RUNNING:
        return "node_red_ended", "Node-RED ended by itself, or could not be started; the instance's log says why"
    return "", ""


def iso(time: datetime | None) -> str | None:
    """UTC with milliseconds."""
    return None if time is None else time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
