"""What the appliance makes of a launcher's word about resources: figures, events, problems, peaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from appliance.errors import Unavailable
from appliance.launcher_client import LauncherAddress
from appliance.model import LauncherReport, LauncherState, Observation, Phase
from appliance.schema.instances import Instance
from appliance.schema.resources import Alert, Figures, ResourceHistory, ResourceReport, Sample
from appliance.services.resources import Latest, Resources
from tests.service_rig import Rig, service_rig
from tests.support import eventually

MB = 1024 * 1024


class Launchers:
    """A launcher that has one sample, or is away."""

    pushes_resources = True

    def __init__(self) -> None:
        self.away = False
        self.asked: list[str] = []

    async def samples(
        self, at: LauncherAddress, *, since: int | None = None, limit: int | None = None
    ) -> ResourceHistory:
        self.asked.append(at.id)
        if self.away:
            raise Unavailable("away", code="connection_refused")
        return ResourceHistory(meta={}, resources=[sample(7)], count=1)


class Made:
    """The service beside the instance services, and what it told."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.file = rig.context.home.state / "peaks.json"
        self.launchers = Launchers()
        self.latest = Latest(self.file)
        self.service = Resources(
            self.latest,
            instances=rig.instances,
            launchers=self.launchers,
            conditions=rig.conditions,
            bus=rig.context.bus,
        )

    def told(self) -> list[Figures | None]:
        return [event.body.resources for event in self.rig.events if event.kind == "instance.resources"]

    def problems(self) -> list[str]:
        return [condition.key.partition(":")[0] for condition in self.rig.conditions.current()]

    async def state(self, instance: Instance, state: LauncherState, seq: int) -> None:
        """The launcher reports, and Node-RED's port is its own."""
        spec = await self.rig.spec(instance.id)
        observed = self.rig.observed
        observed.know(spec)
        observed.seen(Observation(id=instance.id, phase=Phase.UP, pid=1, generation=spec.generation))
        observed.serving(instance.id, 2)
        at = self.rig.clock()
        observed.report(instance.id, LauncherReport(state, seq, 1, 2, spec.command_generation, {}, "", "", at))


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Made]:
    async with service_rig(tmp_path) as rig:
        yield Made(rig)


def sample(cpu: float, **more: Any) -> Sample:
    return Sample("ab12", 1_795_000_000_000, ps=131.0, cpu=cpu, **more)


def alert(kind: str, average: float = 90.0) -> Alert:
    return Alert(kind, average, 75.0, 1_794_999_000_000)


async def test_figures_are_shown_and_announced(made: Made) -> None:
    line = await made.rig.create()
    report = ResourceReport(sample=sample(12.34, el99=0.0123, heap=50.0, heapLimit=300.0, nrmsgs=9), peak_mb=150.0)
    await made.service.report(line.id, report)
    figures = made.latest.of(line.id)
    assert figures is not None and made.told() == [figures]
    assert (figures.cpu_percent, figures.memory_bytes, figures.peak_bytes) == (12.3, 131 * MB, 150 * MB)
    assert (figures.lag_ms, figures.heap_bytes, figures.heap_limit_bytes) == (12.3, 50 * MB, 300 * MB)
    assert (figures.messages, figures.cpu_limit_percent, figures.at) == (9, None, "2026-11-18T11:06:40.000Z")
    event = next(event for event in made.rig.events if event.kind == "instance.resources")
    assert event.team_id == made.rig.made.team_id, "only the team hears of it"


async def test_an_instance_that_stops_takes_nothing(made: Made) -> None:
    line = await made.rig.create()
    await made.state(line, LauncherState.RUNNING, 1)
    await made.service.report(line.id, ResourceReport(sample=sample(1), peak_mb=150.0, alerts=[alert("cpu")]))
    assert made.problems() == ["resource_cpu"]
    await made.state(line, LauncherState.STARTING, 2)
    assert made.latest.of(line.id) is not None, "a restart passes"
    await made.state(line, LauncherState.CRASHED, 3)
    assert made.latest.of(line.id) is None
    assert made.told()[-1] is None
    assert made.problems() == []
    assert made.service.peak_bytes(line.id) == 150 * MB, "the peak is needed at the next start"


async def test_too_much_is_a_problem_with_cause_and_next_step_until_it_is_good_again(made: Made) -> None:
    line = await made.rig.create("line-7")
    report = ResourceReport(sample=sample(90), alerts=[alert("cpu", 91.5), alert("lag", 2.5)])
    await made.service.report(line.id, report)
    await made.service.report(line.id, report)
    problem = made.rig.conditions.current()[0].problem()
    assert problem.about == line.id and "line-7" in problem.title and "line-7" in problem.next_step
    assert problem.evidence.startswith("91.5% on average of five minutes, since 2026-11-18T10:50:00.000Z")
    assert sorted(made.problems()) == ["resource_cpu", "resource_lag"]
    raised = [event for event in made.rig.events if event.kind == "problem.raised"]
    assert len(raised) == 2, "told once each"
    await made.service.report(line.id, ResourceReport(sample=sample(90), alerts=[alert("memory"), alert("heap")]))
    assert made.problems() == ["resource_heap"], "the same in two words is one problem"
    await made.service.report(line.id, ResourceReport(sample=sample(1)))
    assert made.problems() == []


async def test_what_runs_longer_than_the_appliance_is_asked_once(made: Made) -> None:
    line = await made.rig.create()
    task = asyncio.create_task(made.service.run())
    try:
        await made.state(line, LauncherState.RUNNING, 1)
        figures = await eventually(lambda: made.latest.of(line.id))
        assert figures is not None and figures.cpu_percent == 7
        await made.state(line, LauncherState.SAFE, 2)
        other = await made.rig.create("other")
        made.launchers.away = True
        await made.state(other, LauncherState.RUNNING, 1)
        await eventually(lambda: other.id in made.launchers.asked)
        assert made.latest.of(other.id) is None, "it says so by itself before long"
        assert made.launchers.asked == [line.id, other.id]
    finally:
        task.cancel()


async def test_peaks_outlive_the_appliance_and_are_written_seldom(made: Made) -> None:
    line, other = await made.rig.create("one"), await made.rig.create("two")
    for instance, peak_mb in ((line, 150.0), (other, 200.0)):
        await made.service.report(instance.id, ResourceReport(sample=sample(1), peak_mb=peak_mb))
    await made.service.keep()
    written = made.file.stat()
    await made.service.report(line.id, ResourceReport(sample=sample(1), peak_mb=155.0))
    await made.service.keep()
    assert made.file.stat().st_ino == written.st_ino, "a few percent are no reason to wear out the flash"
    await made.service.report(line.id, ResourceReport(sample=sample(1), peak_mb=190.0))
    await made.service.keep()
    again = Latest(made.file)
    assert (again.peak_bytes(line.id), again.of(line.id)) == (190 * MB, None)
    again.forget(other.id)
    again.write()
    assert msgspec.json.decode(made.file.read_bytes()) == {line.id: 190 * MB}


@pytest.mark.parametrize("spoiled", [b"", b"[1]", b'{"a":"b"}', b"\xff\xfe", b'{"a":-5}', b'{"a":1e300}'])
async def test_spoiled_peaks_are_measured_anew(tmp_path: Path, spoiled: bytes) -> None:
    file = tmp_path / "peaks.json"
    file.write_bytes(spoiled)
    assert Latest(file).peak_bytes("a") is None


async def test_a_full_disk_costs_only_the_peaks(made: Made) -> None:
    line = await made.rig.create()
    await made.service.report(line.id, ResourceReport(sample=sample(1), peak_mb=150.0))
    made.file.mkdir()
    await made.service.keep()
    assert made.service.peak_bytes(line.id) == 150 * MB


async def test_an_instance_without_a_launcher_has_no_history(made: Made) -> None:
    line = await made.rig.create()
    assert (await made.service.history(line.id, since=None, limit=None)).count == 1
    await made.rig.instances.suspend(made.rig.admin, line.id)
    assert (await made.service.history(line.id, since=None, limit=None)).count == 0
    assert made.launchers.asked == [line.id]
    made.launchers.away = True
    await made.rig.instances.start(made.rig.admin, line.id)
    with pytest.raises(Unavailable):
        await made.service.history(line.id, since=None, limit=None)


async def test_an_instance_that_is_gone_is_forgotten(made: Made) -> None:
    line = await made.rig.create()
    await made.service.report(line.id, ResourceReport(sample=sample(1), peak_mb=150.0, alerts=[alert("cpu")]))
    await made.rig.instances.delete(made.rig.admin, line.id)
    await made.rig.instances.removed(line.id)
    assert (made.latest.of(line.id), made.service.peak_bytes(line.id), made.problems()) == (None, None, [])
    await made.service.report(line.id, ResourceReport(sample=sample(1)))
    assert made.latest.of(line.id) is None, "a last word of its launcher"
