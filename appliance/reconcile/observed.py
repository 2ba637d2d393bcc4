"""What is known of each instance now, in memory only, and the one word that people are shown.

Written by the reconciler (observations, verdicts), by launchers (reports) and by the gate (serving); every change
that can be seen is published as `instance.state`. All methods are synchronous and belong to the event loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from msgspec.structs import replace

from appliance.events import Bus, Event
from appliance.model import Desired, InstanceSpec, LauncherReport, LauncherState, Manner, Observation, Phase
from appliance.reconcile import shown
from appliance.reconcile.entry import SERVING, Carried, Entry, Verdict, accepted
from appliance.schema.instances import InstanceMeta, InstanceStatus

PREPARING = (LauncherState.LOADING, LauncherState.INSTALLING)


class Gate(Protocol):
    """Lets browsers through to an instance, or not."""

    def lower(self, instance_id: str) -> None:
        """Let nobody through from now on; at once."""

    def verify(self, instance_id: str) -> None:
        """Find out whether the port belongs to this instance; `Observed.serving` or `held` is called with the answer.
        Who was let through by the same launcher's socket before stays so until then, nobody else."""


class Observed:
    """One entry per known instance; see the module."""

    def __init__(
        self, bus: Bus, clock: Callable[[], datetime], monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._bus = bus
        self._clock = clock
        self._monotonic_s = monotonic_s
        self._entries: dict[str, Entry] = {}
        self._manners: dict[str, tuple[int, Manner]] = {}
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
        """What a launcher says. Late words of an earlier launcher, or out of order, are ignored; a `plain` one is taken
        to be of the observed launcher, and the newest word."""
        entry = self._entries.get(instance_id)
        if entry is None or (counted := accepted(entry, report, self._monotonic_s())) is None:
            return
        if (asked := self._manners.get(instance_id)) is not None and counted.command_generation >= asked[0]:
            del self._manners[instance_id]  # carried out: the next start is an ordinary one
        self._take(entry, counted)
        self._update(entry)
        self._reported(instance_id)

    def placed(self, instance_id: str, pid: int | None, command_generation: int) -> None:
        """A launcher was placed that starts as was wanted at this wish; later ones have to be told to it."""
        if pid is not None and (entry := self._entries.get(instance_id)) is not None:
            entry.carried = Carried(pid, command_generation)

    def handed(self, instance_id: str, command_generation: int, *, done: bool) -> None:
        """The wish was handed to its launcher; `done`: it said that it has carried it out."""
        entry = self._entries.get(instance_id)
        if entry is None or entry.carried is None or entry.report is None or not entry.report.plain:
            return
        carried = entry.carried
        if done:
            entry.carried = Carried(carried.pid, command_generation)
        else:
            entry.carried = Carried(carried.pid, carried.done, command_generation, self._monotonic_s())
        entry.report = replace(entry.report, command_generation=entry.carried.done)
        self._publish(entry)

    def asked(self, instance_id: str, command_generation: int, manner: Manner) -> None:
        """How this wish is to be carried out. Kept until it is, by this process: one that is told again after the
        appliance was restarted in between is carried out as an ordinary restart."""
        self._manners[instance_id] = (command_generation, manner)

    def manner(self, instance_id: str, command_generation: int) -> Manner:
        """How this wish is to be carried out, if it has not been yet."""
        generation, manner = self._manners.get(instance_id, (-1, Manner()))
        return manner if generation == command_generation else Manner()

    def is_plain(self, instance_id: str) -> bool:
        """Whether its launcher says its state and no more."""
        entry = self._entries.get(instance_id)
        return entry is not None and entry.own_report is not None and entry.own_report.plain

    def takes(self, instance_id: str, command: str) -> bool:
        """Whether its launcher is in a state in which it carries out this command: in the others a plain one answers
        that all is well, and does nothing."""
        entry = self._entries.get(instance_id)
        report = entry.own_report if entry is not None else None
        busy = PREPARING if command == "stop" else (*PREPARING, LauncherState.STARTING)
        return report is not None and report.state not in busy

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

    def held(self, instance_id: str, launcher_pid: int) -> None:
        """The launcher whose socket was seen on the port while it holds it."""
        if (entry := self._entries.get(instance_id)) is not None:
            entry.held_by = launcher_pid

    def held_too_long(self, instance_id: str, since: float, message: str) -> None:
        """No Node-RED took over what is held since `since`: clients need not wait for it any longer."""
        entry = self._entries.get(instance_id)
        if entry is not None and entry.holds and entry.holding_since == since:
            entry.hold_over = True
            entry.refused = message
            self._update(entry)

    def in_state_s(self, instance_id: str) -> float:
        """How long the launcher has been saying the same state, as far as we know; 0 when it says nothing."""
        entry = self._entries.get(instance_id)
        return self._monotonic_s() - entry.state_since if entry is not None and entry.own_report is not None else 0.0

    def recheck(self, instance_id: str) -> None:
        """Have the port of an instance that says it runs looked at again."""
        entry = self._entries.get(instance_id)
        if entry is not None and entry.may_pass and self._gate is not None:
            self._gate.verify(instance_id)

    def forget(self, instance_id: str) -> None:
        """The instance is no more."""
        self._manners.pop(instance_id, None)
        if self._entries.pop(instance_id, None) is not None and self._gate is not None:
            self._gate.lower(instance_id)

    def meta(self, instance_id: str, desired: Desired) -> InstanceMeta:
        """The live state on the wire. `desired` comes from the database, which may be newer than what is known here."""
        entry = self._entries.get(instance_id)
        if entry is None:
            nothing = Observation(id=instance_id, phase=Phase.ABSENT)
            state = shown.shown_state(desired, nothing, None, pending=False, serving=False, gave_up=False)
            return InstanceMeta(state=state)
        return shown.meta(entry, desired, entry.shown_since)

    def _take(self, entry: Entry, report: LauncherReport) -> None:
        now_s, old = self._monotonic_s(), entry.report
        if old is None or (old.pid, old.state) != (report.pid, report.state):
            entry.state_since = now_s
            entry.crashes += report.state is LauncherState.CRASHED
        if not report.holding:
            entry.refused = "" if entry.hold_over else entry.refused
            entry.holding_since = entry.held_by = None
            entry.hold_over = False
        elif entry.holding_since is None or old is None or old.pid != report.pid:
            entry.holding_since, entry.held_by, entry.hold_over = now_s, None, False
        if report.plain and report.state not in SERVING:
            entry.serving_pid = None  # the next Node-RED is another, and it does not say which
        entry.report = report

    def _update(self, entry: Entry) -> None:
        instance_id = entry.spec.id
        known_down = entry.observation.phase not in (Phase.UP, Phase.UNKNOWN) or entry.own_report is not None
        if self._gate is not None and not entry.passes:
            if entry.may_pass:
                self._gate.verify(instance_id)
            elif known_down:
                # Without a report nothing is known yet (the appliance was just started): what is open stays open.
                self._gate.lower(instance_id)
        self._publish(entry)

    def _publish(self, entry: Entry) -> None:
        meta = shown.meta(entry, entry.spec.desired, entry.shown_since)
        if meta == entry.shown:
            return
        if entry.shown is None or meta.state != entry.shown.state:
            entry.shown_since = self._clock()
            meta.since = shown.iso(entry.shown_since)
        entry.shown = meta
        status = InstanceStatus(id=entry.spec.id, name=entry.spec.name, meta=meta)
        self._bus.publish(Event("instance.state", entry.spec.id, entry.spec.team_id, status))
