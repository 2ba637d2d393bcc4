"""What is known of each instance now, in memory only, and the one word that people are shown.

Written by the reconciler (observations, verdicts), by launchers (reports) and by the gate (serving); every change
that can be seen is published as `instance.state`. All methods are synchronous and belong to the event loop.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from msgspec import Struct

from appliance.events import Bus, Event
from appliance.model import Desired, InstanceSpec, LauncherReport, LauncherState, Observation, Phase
from appliance.schema.instances import InstanceMeta, InstanceStatus

SERVING = (LauncherState.RUNNING, LauncherState.SAFE)


class Verdict(Struct, frozen=True):
    """What the reconciler has to say: why nothing happens now, and when it acts again."""

    reason: str = ""
    message: str = ""
    next_try_at: datetime | None = None
    restarts: int = 0
    gave_up: bool = False


class Gate(Protocol):
    """Lets browsers through to an instance, or not."""

    def lower(self, instance_id: str) -> None:
        """Let nobody through from now on; at once."""

    def verify(self, instance_id: str) -> None:
        """Find out whether the port belongs to this instance; `Observed.serving` is called with the answer."""


class Entry(Struct):
    """All that is known of one instance."""

    spec: InstanceSpec
    observation: Observation
    report: LauncherReport | None = None
    verdict: Verdict = Verdict()
    serving_pid: int | None = None  # the Node-RED that was seen to own its port
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
        report = self.own_report
        return report is not None and report.state in SERVING and report.node_red_pid is not None

    @property
    def serving(self) -> bool:
        report = self.own_report
        return self.could_serve and report is not None and report.node_red_pid == self.serving_pid


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


class Observed:
    """One entry per known instance; see the module."""

    def __init__(self, bus: Bus, clock: Callable[[], datetime]) -> None:
        self._bus = bus
        self._clock = clock
        self._entries: dict[str, Entry] = {}
        self._gate: Gate | None = None
        self._reported: Callable[[str], None] = lambda _: None

    def connect(self, gate: Gate, reported: Callable[[str], None]) -> None:
        """Name who lets browsers through, and who is told of each report."""
        self._gate = gate
        self._reported = reported

    def entry(self, instance_id: str) -> Entry | None:
        return self._entries.get(instance_id)

    def known(self) -> list[str]:
        return list(self._entries)

    def know(self, spec: InstanceSpec) -> None:
        """What is wanted of an instance, as it was last read; instances that were never known are ignored below."""
        entry = self._entries.get(spec.id)
        if entry is None:
            entry = self._entries[spec.id] = Entry(spec, Observation(id=spec.id, phase=Phase.ABSENT))
        entry.spec = spec
        entry.stale = False
        self._publish(entry)

    def hear(self, event: Event) -> None:
        """A command was stored: until the spec is read again it counts as not carried out."""
        if event.kind == "instance.changed" and (entry := self._entries.get(event.key)) is not None:
            entry.stale = True

    def seen(self, observation: Observation) -> None:
        """What the driver sees."""
        if (entry := self._entries.get(observation.id)) is not None:
            entry.observation = observation
            self._update(entry)

    def report(self, instance_id: str, report: LauncherReport) -> None:
        """What a launcher says. Late words of an earlier launcher, or out of order, are ignored; `pid` 0 and `seq` 0
        (launchers that do not send them) stand for the observed launcher and for the newest word."""
        entry = self._entries.get(instance_id)
        if entry is None or (accepted := _accepted(entry, report)) is None:
            return
        entry.report = accepted
        self._update(entry)
        self._reported(instance_id)

    def judged(self, instance_id: str, verdict: Verdict) -> None:
        """What the reconciler makes of it."""
        if (entry := self._entries.get(instance_id)) is not None:
            entry.verdict = verdict
            self._publish(entry)

    def serving(self, instance_id: str, node_red_pid: int | None, refused: str = "") -> None:
        """The Node-RED that was seen to own its port; None: whoever owns it, it is not this instance's."""
        if (entry := self._entries.get(instance_id)) is not None:
            entry.serving_pid = node_red_pid
            entry.refused = refused
            self._publish(entry)

    def recheck(self, instance_id: str) -> None:
        """Have the port of an instance that says it runs looked at again."""
        entry = self._entries.get(instance_id)
        if entry is not None and entry.could_serve and self._gate is not None:
            self._gate.verify(instance_id)

    def forget(self, instance_id: str) -> None:
        """The instance is no more."""
        if self._entries.pop(instance_id, None) is not None and self._gate is not None:
            self._gate.lower(instance_id)

    def meta(self, instance_id: str, desired: Desired) -> InstanceMeta:
        """The live state on the wire. `desired` comes from the database, which may be newer than what is known here."""
        entry = self._entries.get(instance_id)
        if entry is None:
            nothing = Observation(id=instance_id, phase=Phase.ABSENT)
            return InstanceMeta(state=shown_state(desired, nothing, None, pending=False, serving=False, gave_up=False))
        return _meta(entry, desired, entry.shown_since)

    def _update(self, entry: Entry) -> None:
        instance_id = entry.spec.id
        known_down = entry.observation.phase not in (Phase.UP, Phase.UNKNOWN) or entry.own_report is not None
        if self._gate is not None and not entry.serving:
            # Without a report nothing is known yet (the appliance was just started): what is open stays open.
            if known_down:
                self._gate.lower(instance_id)
            if entry.could_serve:
                self._gate.verify(instance_id)
        self._publish(entry)

    def _publish(self, entry: Entry) -> None:
        meta = _meta(entry, entry.spec.desired, entry.shown_since)
        if meta == entry.shown:
            return
        if entry.shown is None or meta.state != entry.shown.state:
            entry.shown_since = self._clock()
            meta.since = _iso(entry.shown_since)
        entry.shown = meta
        status = InstanceStatus(id=entry.spec.id, name=entry.spec.name, meta=meta)
        self._bus.publish(Event("instance.state", entry.spec.id, entry.spec.team_id, status))


def _accepted(entry: Entry, report: LauncherReport) -> LauncherReport | None:
    old = entry.report
    if report.pid == 0:
        # The published launcher says its state and no more.
        seq = old.seq + 1 if old else 1
        return _with(report, pid=entry.observation.pid or 0, seq=seq, old=old)
    if old is None:
        return report
    if old.pid == report.pid:
        return report if report.seq > old.seq or report.seq == 0 else None
    return None if old.pid == entry.observation.pid else report


def _with(report: LauncherReport, *, pid: int, seq: int, old: LauncherReport | None) -> LauncherReport:
    return LauncherReport(
        state=report.state,
        seq=seq,
        pid=pid,
        node_red_pid=report.node_red_pid or (old.node_red_pid if old else None),
        command_generation=max(report.command_generation, old.command_generation if old else 0),
        versions=report.versions or (old.versions if old else {}),
        reason=report.reason,
        message=report.message,
        at=report.at,
    )


def _meta(entry: Entry, desired: Desired, since: datetime | None) -> InstanceMeta:
    report, verdict = entry.own_report, entry.verdict
    state = shown_state(
        desired,
        entry.observation,
        report,
        pending=entry.stale or (report is not None and report.command_generation < entry.spec.command_generation),
        serving=entry.serving,
        gave_up=verdict.gave_up,
    )
    reason, message = _why(entry)
    return InstanceMeta(
        state=state,
        versions=entry.report.versions if entry.report else {},
        reason=reason,
        message=message,
        next_try_at=_iso(verdict.next_try_at),
        restarts=verdict.restarts,
        since=_iso(since),
        launcher_pid=entry.observation.pid if entry.observation.phase is Phase.UP else None,
        node_red_pid=report.node_red_pid if report else None,
    )


def _why(entry: Entry) -> tuple[str, str]:
    report = entry.own_report
    if entry.refused and entry.could_serve:
        return "port_not_ours", entry.refused
    for said in (entry.verdict, report, entry.observation):
        if said is not None and said.reason:
            return said.reason, said.message
    return "", ""


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
