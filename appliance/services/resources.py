"""What each instance takes of the machine now, and what is too much of it.

Launchers say so when there is something to see; nothing is polled. Held in memory, but for the peaks, which are
needed before anything runs: they are written down now and then.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Protocol

import msgspec
from msgspec import Meta, Struct

from appliance.errors import Unavailable
from appliance.events import Bus, Event
from appliance.launcher_client import LauncherAddress
from appliance.model import InstanceSpec
from appliance.schema.instances import InstanceStatus
from appliance.schema.resources import Alert, Figures, InstanceResources, ResourceHistory, ResourceReport, Sample
from appliance.services.conditions import Conditions
from appliance.store.values import iso
from appliance.system.files import write_atomic

log = logging.getLogger(__name__)

_MIB = 1024 * 1024
_UP = frozenset({"running", "safe"})
# Between two runs, or about to be: what was measured last is still worth showing.
_PASSING = frozenset({"starting", "loading", "installing", "restarting", "stopping", "unknown"})
WRITE_EVERY_S = 600.0
_GROWN = 1.1  # a peak that is a tenth higher is worth a write


class Launchers(Protocol):
    """The part of the launcher client that is used here. Raises Unavailable."""

    pushes_resources: bool

    async def samples(
        self, at: LauncherAddress, *, since: int | None = None, limit: int | None = None
    ) -> ResourceHistory: ...


class Instances(Protocol):
    """What is wanted of an instance; None when there is no such."""

    async def spec(self, instance_id: str) -> InstanceSpec | None: ...


Written = Callable[[str, str, int], None]  # instance, launcher, bytes since that launcher lives


class Latest:
    """The last figures of each instance, and the most memory that its last run took."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._figures: dict[str, Figures] = {}
        self._written = _peaks_in(file)
        self._peaks = dict(self._written)

    def of(self, instance_id: str) -> Figures | None:
        """What it takes now; None when it does not run or has not said so yet."""
        return self._figures.get(instance_id)

    def peak_bytes(self, instance_id: str) -> int | None:
        """The most memory that Node-RED and its children took in the last run; None when none was measured."""
        return self._peaks.get(instance_id)

    def put(self, instance_id: str, figures: Figures) -> None:
        self._figures[instance_id] = figures
        self._peaks[instance_id] = figures.peak_bytes

    def drop(self, instance_id: str) -> bool:
        """It does not run any more; its peak stays. False when nothing was known."""
        return self._figures.pop(instance_id, None) is not None

    def forget(self, instance_id: str) -> None:
        """The instance is gone."""
        self._figures.pop(instance_id, None)
        self._peaks.pop(instance_id, None)

    def write(self) -> None:
        """Keep the peaks on disk, when they have changed so much that it matters. Raises OSError."""
        if any(_apart(self._written.get(key, 0), value) for key, value in self._peaks.items()) or (
            self._written.keys() != self._peaks.keys()
        ):
            peaks = dict(self._peaks)
            write_atomic(self._file, msgspec.json.encode(peaks))
            self._written = peaks


class _Told(Struct, frozen=True):
    """A problem that an alert becomes."""

    title: str
    cause: str
    next_step: str
    unit: str = "%"


_PROBLEMS = {
    "cpu": _Told(
        "{name} uses much processor time",
        "For five minutes and more its flows took most of the processor time they may take; others wait for it.",
        "Look for a flow in a tight loop, or with a short interval: weir instance resources {name}",
    ),
    "memory": _Told(
        "{name} uses much memory",
        "For five minutes and more it took most of the memory it may take; at the limit it is ended.",
        "Give it more memory, or look for a flow that collects messages: weir instance resources {name}",
    ),
    "heap": _Told(
        "{name} is about to run out of memory",
        "V8's heap is nearly full: Node-RED is slowed down by collecting garbage, and crashes when it is full.",
        "Give it more memory, or restart it and look for a flow that collects messages: weir instance restart {name}",
    ),
    "lag": _Told(
        "{name} answers late",
        "Something in its flows blocks the event loop for a second and more, so that everything else waits.",
        "Look for loops, large JSON or files read in one piece in function nodes: weir instance logs {name}",
        " s",
    ),
}


class Resources:
    """Takes in what launchers say, tells it to the bus as `instance.resources`, and raises and clears problems."""

    def __init__(
        self,
        latest: Latest,
        *,
        instances: Instances,
        launchers: Launchers,
        conditions: Conditions,
        bus: Bus,
        written: Written = lambda *_: None,
    ) -> None:
        self._latest, self._instances, self._launchers = latest, instances, launchers
        self._conditions, self._bus, self._written = conditions, bus, written
        self._unknown: asyncio.Queue[str] = asyncio.Queue(maxsize=2000)
        bus.listen(self._hear)

    def peak_bytes(self, instance_id: str) -> int | None:
        """The most memory that an instance took in its last run; None when none was measured."""
        return self._latest.peak_bytes(instance_id)

    async def report(self, instance_id: str, report: ResourceReport) -> None:
        """What the launcher of an instance measured."""
        spec = await self._instances.spec(instance_id)
        if spec is not None:
            self._take(spec, _figures(report))
            self._judge(spec, report.alerts)
            if report.written_bytes is not None:
                self._written(spec.id, report.sample.src, report.written_bytes)

    async def history(self, instance_id: str, *, since: int | None, limit: int | None) -> ResourceHistory:
        """The samples that the instance's launcher keeps, oldest first; none when it has no launcher.

        Raises Unavailable when the launcher can't be reached.
        """
        spec = await self._instances.spec(instance_id)
        if spec is None or spec.desired.value in ("suspended", "deleting"):
            return ResourceHistory(meta={}, resources=[], count=0)
        return await self._launchers.samples(spec, since=since, limit=limit)

    async def run(self) -> None:
        """Ask once for figures of instances that were running before us, and write the peaks down, for ever."""
        loop = asyncio.get_running_loop()
        due = loop.time() + WRITE_EVERY_S
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._ask(await self._unknown.get())
                    continue
            due = loop.time() + WRITE_EVERY_S
            await self.keep()

    async def keep(self) -> None:
        """Write the peaks down; a disk that is full costs only them."""
        try:
            await asyncio.to_thread(self._latest.write)
        except OSError as error:
            log.warning("the peaks of memory can't be kept: %s", error)

    async def _ask(self, instance_id: str) -> None:
        """An instance that runs and has not said anything: the appliance is younger than it."""
        spec = await self._instances.spec(instance_id)
        if spec is None or self._latest.of(instance_id) is not None or not self._launchers.pushes_resources:
            return  # figures that nobody renews would soon be wrong
        with contextlib.suppress(Unavailable):
            found = (await self._launchers.samples(spec, limit=1)).resources
            if found and self._latest.of(instance_id) is None:
                peak_mb = max(found[0].ps or 0, (self._latest.peak_bytes(instance_id) or 0) / _MIB)
                self._take(spec, _figures(ResourceReport(sample=found[0], peak_mb=peak_mb)))

    def _take(self, spec: InstanceSpec, figures: Figures) -> None:
        self._latest.put(spec.id, figures)
        self._tell(spec.id, spec.name, spec.team_id, figures)

    def _tell(self, instance_id: str, name: str, team_id: str | None, figures: Figures | None) -> None:
        body = InstanceResources(id=instance_id, name=name, resources=figures)
        self._bus.publish(Event("instance.resources", instance_id, team_id, body))

    def _judge(self, spec: InstanceSpec, alerts: list[Alert]) -> None:
        raised = {alert.kind: alert for alert in alerts}
        if "heap" in raised:
            raised.pop("memory", None)  # the same, and worse
        for kind, told in _PROBLEMS.items():
            alert = raised.get(kind)
            if alert is None:
                self._conditions.clear(_key(kind, spec.id))
                continue
            self._conditions.raise_(
                _key(kind, spec.id),
                title=told.title.format(name=spec.name),
                cause=told.cause,
                evidence=f"{alert.average:g}{told.unit} on average of five minutes, since {iso(alert.since)}; "
                f"{alert.threshold:g}{told.unit} is the threshold",
                next_step=told.next_step.format(name=spec.name),
                about=spec.id,
            )

    def _hear(self, event: Event) -> None:
        if event.kind == "instance.removed":
            self._latest.forget(event.key)
        elif event.kind == "instance.state" and isinstance(event.body, InstanceStatus):
            self._state(event, event.body)

    def _state(self, event: Event, status: InstanceStatus) -> None:
        state = status.meta.state
        if state in _UP:
            if self._latest.of(event.key) is None:
                with contextlib.suppress(asyncio.QueueFull):  # its launcher says so by itself before long
                    self._unknown.put_nowait(event.key)
        elif state not in _PASSING:
            for kind in _PROBLEMS:
                self._conditions.clear(_key(kind, event.key))
            if self._latest.drop(event.key):
                self._tell(event.key, status.name, event.team_id, None)


def _key(kind: str, instance_id: str) -> str:
    return f"resource_{kind}:{instance_id}"


def _figures(report: ResourceReport) -> Figures:
    sample: Sample = report.sample
    return Figures(
        cpu_percent=round(sample.cpu or 0.0, 1),
        memory_bytes=_bytes(sample.ps) or 0,
        at=iso(min(sample.ts, _LAST_MS)),
        peak_bytes=_bytes(report.peak_mb) or 0,
        cpu_limit_percent=report.cpu_limit,
        memory_limit_bytes=_bytes(report.memory_limit_mb),
        lag_ms=None if sample.el99 is None else round(sample.el99 * 1000, 1),
        heap_bytes=_bytes(sample.heap),
        heap_limit_bytes=_bytes(sample.heapLimit),
        messages=sample.nrmsgs,
    )


_LAST_MS = 253_402_300_799_000  # the year 9999: what a calendar holds


def _bytes(mb: float | None) -> int | None:
    return None if mb is None else int(mb * _MIB)


def _apart(one: int, other: int) -> bool:
    return max(one, other) > _GROWN * min(one, other)


def _peaks_in(file: Path) -> dict[str, int]:
    """What was written down; nothing when it is spoiled: it is measured again."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Annotated[int, Meta(ge=0)]])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return {}
