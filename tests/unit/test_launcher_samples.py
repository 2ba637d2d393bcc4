"""The ring of samples, what is worth telling, and when too much is too much."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.alerts import SAMPLES, Alerts
from launcher.samples import KEPT, Heard, Ring, Samples
from launcher.schema import ResourceReport, Sample
from launcher.usage import Limits, Seen

SAID = {"ela": 0.01, "el99": 0.2, "nrmsgs": 5, "nrrecv": 6, "nrsend": 7, "heap": 50.5, "heapLimit": 300.0}
DAY_MS = 86_400_000


class Machine:
    """Clocks and counters that the test turns. `usage` is asked like the real one."""

    def __init__(self) -> None:
        self.clock_s, self.wall_s = 1000.0, 1_795_000_000.0
        self.cpu_s, self.memory_mb = 5.0, 100.0
        self.enforced = Limits()
        self.alarms: list[dict[str, Any]] = []
        self.reports: list[ResourceReport] = []
        self.well = True
        self.samples = Samples(
            "ab12", self, alarm=self.alarms.append, push=self._push, clock=lambda: self.clock_s, now=lambda: self.wall_s
        )  # type: ignore[arg-type]

    def read(self, node_red: int | None) -> Seen:
        return Seen(self.cpu_s, None if node_red is None else self.memory_mb)

    def limits(self) -> Limits:
        return self.enforced

    def peak_mb(self, node_red: int) -> float:
        return self.memory_mb + 1

    async def _push(self, report: ResourceReport) -> bool:
        if self.well:
            self.reports.append(report)
        return self.well

    async def step(
        self, cpu: float = 10, *, dt_s: float = 10, node_red: int | None = 7, **said: float
    ) -> Sample | None:
        """`cpu` percent of a core were used during `dt_s`."""
        self.clock_s += dt_s
        self.wall_s += dt_s
        self.cpu_s += cpu / 100 * dt_s
        if said:
            self.samples.hear(msgspec.Raw(msgspec.json.encode({**SAID, **said})))
        if not self.samples.take(node_red):
            return None
        await self.samples._tell()
        return self.samples.ring.get(self.samples.ring.count - 1)


@pytest.fixture
def machine() -> Machine:
    return Machine()


async def test_a_sample_has_the_fields_of_the_reference(machine: Machine) -> None:
    sample = await machine.step(12.5, ela=0.5)
    assert msgspec.to_builtins(sample) == {"src": "ab12", "ts": 1_795_000_010_000, "ps": 100.0, "cpu": 12.5} | {
        **SAID,
        "ela": 0.5,
    }


@pytest.mark.parametrize("dt_s", [0.5, 10, 60, 3600])
async def test_rates_are_of_the_real_time_step(machine: Machine, dt_s: float) -> None:
    """Instance protocol L25: a step of an hour is no spike of 36000 %."""
    sample = await machine.step(25, dt_s=dt_s)
    assert sample is not None and sample.cpu == pytest.approx(25)


async def test_the_clock_on_the_wall_may_jump(machine: Machine) -> None:
    first = await machine.step(25)
    machine.wall_s -= 86400
    second = await machine.step(25)
    assert first is not None and second is not None
    assert second.cpu == 25 and second.ts < first.ts
    ring = machine.samples.ring
    assert ring.after(first.ts) == 1, "a client that has the first gets the second, though it is of yesterday"
    assert ring.after(second.ts) == 2


async def test_no_samples_while_it_is_down_and_no_spike_afterwards(machine: Machine) -> None:
    """Instance protocol L25: no `err` samples, and nothing is counted across a restart."""
    await machine.step(10)
    for _ in range(5):
        assert await machine.step(100, node_red=None) is None
    sample = await machine.step(10, node_red=8)
    assert sample is not None and sample.cpu == pytest.approx(10)
    assert machine.samples.ring.count == 2, "history survives the restart"


async def test_what_node_red_said_gets_old(machine: Machine) -> None:
    assert (await machine.step(el99=0.3)).el99 == pytest.approx(0.3)  # type: ignore[union-attr]
    assert (await machine.step()).el99 == pytest.approx(0.3)  # type: ignore[union-attr]
    silent = [await machine.step() for _ in range(2)][-1]
    assert silent is not None and silent.el99 is None and silent.nrmsgs is None and silent.cpu is not None


async def test_what_the_old_node_red_said_is_not_the_new_ones(machine: Machine) -> None:
    await machine.step(el99=2)
    sample = await machine.step(node_red=8)
    assert sample is not None and sample.el99 is None


@pytest.mark.parametrize(
    "lie",
    [{"ela": -1}, {"el99": 1e9}, {"heap": 1e300}, {"nrmsgs": 1e16}, {"nrrecv": -5}, {"heapLimit": -0.001}],
)
async def test_impossible_values_of_a_flow_are_passed_over(machine: Machine, lie: dict[str, float]) -> None:
    sample = await machine.step(**lie)
    assert sample is not None and sample.heap is None
    with pytest.raises(msgspec.DecodeError):
        machine.samples.hear(msgspec.Raw(b'{"ela":"much"}'))
    with pytest.raises(msgspec.DecodeError):
        machine.samples.hear(msgspec.Raw(b"null"))


@given(st.fixed_dictionaries({name: st.floats() for name in SAID}))
def test_whatever_is_believed_can_be_kept_and_sent(said: dict[str, float]) -> None:
    heard = Heard(**said)
    if heard.believable():
        assert all(math.isfinite(value) for value in said.values())
        ring = Ring("ab12")
        counted = {name: int(said[name]) for name in ("nrmsgs", "nrrecv", "nrsend")}
        ring.append(Sample("ab12", 1, **{**said, **counted}))
        assert msgspec.json.decode(msgspec.json.encode(ring.get(0)), type=Sample)


def test_the_ring_keeps_seven_hours_in_a_small_room() -> None:
    ring = Ring("ab12")
    for number in range(KEPT + 10):
        ring.append(Sample("ab12", number, ps=1.5, nrmsgs=2**40 + number))
    assert (ring.oldest, ring.count) == (10, KEPT + 10)
    assert ring.get(10) == Sample("ab12", 10, ps=1.5, nrmsgs=2**40 + 10)
    assert ring.get(KEPT + 9).ts == KEPT + 9
    assert ring.size_bytes <= 150_000
    assert ring.after(0) == 10 and ring.after(KEPT) == KEPT + 1 and ring.after(KEPT + 9) == KEPT + 10


async def test_followers_get_each_sample_once_and_hear_of_silence(machine: Machine) -> None:
    await machine.step()
    follower = machine.samples.follow(0, 0.01)
    assert (await anext(follower)).ts == 1_795_000_010_000  # type: ignore[union-attr]
    assert await anext(follower) is None, "silence"
    waiting = asyncio.ensure_future(anext(machine.samples.follow(1, 20)))
    await asyncio.sleep(0)
    await machine.step()
    assert (await waiting).ts == (await anext(follower)).ts == 1_795_000_020_000  # type: ignore[union-attr]


async def test_the_appliance_is_told_what_people_would_see_and_no_more(machine: Machine) -> None:
    for _ in range(25):
        await machine.step(0.3)
    assert len(machine.reports) == 1, "the first, then nothing that is worth a word"
    await machine.step(12)
    assert machine.reports[-1].sample.cpu == 12
    for _ in range(31):
        await machine.step(12)
    assert len(machine.reports) == 3, "now and then it says that nothing has changed"
    machine.memory_mb += 20
    for _ in range(3):
        await machine.step(12)
    assert (machine.reports[-1].sample.ps, machine.reports[-1].peakMb) == (120, 121)
    machine.memory_mb -= 60
    await machine.step(12, node_red=8)
    assert machine.reports[-1].peakMb == 61, "the most of this run, told at once"


async def test_what_was_not_delivered_is_told_again(machine: Machine) -> None:
    machine.well = False
    await machine.step()
    machine.well = True
    await machine.step()
    assert len(machine.reports) == 1


async def test_too_much_cpu_for_five_minutes_is_told_once(machine: Machine) -> None:
    for _ in range(SAMPLES - 1):
        await machine.step(90)
    assert machine.alarms == [] and machine.reports[-1].alerts == []
    await machine.step(90)
    assert [alarm["event"] for alarm in machine.alarms] == ["resource.cpu"]
    assert machine.alarms[0] | {"timestamp": 0} == {
        "timestamp": 0, "event": "resource.cpu", "interval": 300, "threshold": 75.0, "average": 90.0
    }  # fmt: skip
    assert [alert.kind for alert in machine.reports[-1].alerts] == ["cpu"], "told at once"
    for cpu in [70, 80] * SAMPLES:
        await machine.step(cpu)
    assert len(machine.alarms) == 1, "it hovers at the threshold"
    for _ in range(SAMPLES):
        await machine.step(20)
    assert machine.reports[-1].alerts == []
    for _ in range(SAMPLES):
        await machine.step(100)
    assert len(machine.alarms) == 2


async def test_a_limit_of_the_cgroup_is_what_counts(machine: Machine) -> None:
    machine.enforced = Limits(cpu_percent=20, memory_mb=120)
    for _ in range(SAMPLES):
        await machine.step(16)
    assert sorted(alarm["event"] for alarm in machine.alarms) == ["resource.cpu", "resource.memory"]
    assert machine.reports[-1].cpuLimit == 20 and machine.reports[-1].memoryLimitMb == 120


async def test_a_full_heap_and_a_late_loop_are_told(machine: Machine) -> None:
    for _ in range(SAMPLES):
        await machine.step(heap=290, heapLimit=300, el99=1.5)
    events = sorted(alarm["event"] for alarm in machine.alarms)
    assert events == ["resource.heap", "resource.lag", "resource.memory"]


async def test_after_a_long_pause_the_five_minutes_begin_anew(machine: Machine) -> None:
    for _ in range(SAMPLES):
        await machine.step(90)
    for _ in range(10):
        await machine.step(0, node_red=None)
    await machine.step(90, node_red=8)
    assert machine.reports[-1].alerts == []


def test_what_is_unknown_changes_no_average() -> None:
    alerts = Alerts()
    for _ in range(SAMPLES):
        assert alerts.sampled({"lag": None, "cpu": 10}, DAY_MS) == []
    fresh = [alert for _ in range(SAMPLES) for alert in alerts.sampled({"lag": 3.0}, DAY_MS)]
    assert [(alert.kind, alert.average, alert.since) for alert in fresh] == [("lag", 3.0, DAY_MS - 300_000)]
