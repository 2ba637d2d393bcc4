"""Samples of what the instance takes, every ten seconds while Node-RED lives; the last seven hours are kept.

They are kept in memory only: a file would wear out flash, and could be rewritten by a flow. A restart of Node-RED
changes nothing; with the launcher they go.
"""

from __future__ import annotations

import asyncio
import logging
import math
import mmap
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
from msgspec import Struct

from launcher.alerts import CPU, HEAP, LAG, MEMORY, Alerts
from launcher.schema import ResourceReport, Sample
from launcher.usage import Limits, Usage

log = logging.getLogger(__name__)

EVERY_S = 10.0
KEPT = 2520  # seven hours
PUSH_EVERY = 3  # samples between two words to the appliance, when there is something to see
PUSH_AT_LEAST = 30
_STALE_S = 25.0  # Node-RED speaks every 10 s
_GAP_S = 60.0  # after a longer one what was before says nothing about now
_MOST = {"ela": 3600.0, "el99": 3600.0, "heap": 1e6, "heapLimit": 1e6}
_MOST_COUNTED = 1e15
_FLOATS = ("ps", "cpu", "ela", "el99", "heap", "heapLimit")
_COUNTERS = ("nrmsgs", "nrrecv", "nrsend")
_DOUBLES = ("ts", *_COUNTERS)  # whole numbers beyond what a float of four bytes holds


class Heard(Struct, frozen=True):
    """What Node-RED says of itself on the control channel."""

    ela: float
    el99: float
    nrmsgs: float
    nrrecv: float
    nrsend: float
    heap: float
    heapLimit: float

    def believable(self) -> bool:
        counted = (self.nrmsgs, self.nrrecv, self.nrsend)
        bounded = all(0 <= getattr(self, name) <= most for name, most in _MOST.items())
        return bounded and all(0 <= count <= _MOST_COUNTED for count in counted)


class Ring:
    """The last `KEPT` samples in 141 kB, of which the kernel gives pages as they are filled. Each has a number that is
    never used again."""

    def __init__(self, source: str, kept: int = KEPT, *, begun_ms: int = 0) -> None:
        self.count = 0  # number of the next sample
        self._begun_ms = begun_ms
        self._source, self._kept = source, kept
        room = memoryview(mmap.mmap(-1, kept * (8 * len(_DOUBLES) + 4 * len(_FLOATS)), flags=mmap.MAP_PRIVATE))
        self._doubles = room[: kept * 8 * len(_DOUBLES)].cast("d")
        self._floats = room[kept * 8 * len(_DOUBLES) :].cast("f")

    @property
    def oldest(self) -> int:
        return max(0, self.count - self._kept)

    @property
    def size_bytes(self) -> int:
        """What it takes when it is full."""
        return self._doubles.nbytes + self._floats.nbytes

    def append(self, sample: Sample) -> None:
        at = self.count % self._kept
        for columns, values in ((_DOUBLES, self._doubles), (_FLOATS, self._floats)):
            for index, name in enumerate(columns, at * len(columns)):
                value = getattr(sample, name)
                values[index] = math.nan if value is None else value
        self.count += 1

    def get(self, number: int) -> Sample:
        """The sample of that number, which must still be kept."""
        at = number % self._kept
        found: dict[str, Any] = {}
        for columns, values in ((_DOUBLES, self._doubles), (_FLOATS, self._floats)):
            for index, name in enumerate(columns, at * len(columns)):
                if not math.isnan(value := values[index]):
                    found[name] = int(value) if columns is _DOUBLES else float(f"{value:.6g}")
        return Sample(self._source, **found)

    def reaches(self, ts: int) -> bool:
        """Whether nothing that came after that time is missing."""
        oldest = self.oldest
        return ts >= (self._doubles[oldest % self._kept * len(_DOUBLES)] if oldest else self._begun_ms)

    def after(self, ts: int) -> int:
        """The number that follows the sample of that time. Times may repeat and go back when the clock is set, so the
        newest with exactly this time counts; without one, the first from which on all are later."""
        number = self.count
        for candidate in range(self.count - 1, self.oldest - 1, -1):
            found = self._doubles[candidate % self._kept * len(_DOUBLES)]
            if found == ts:
                return candidate + 1
            if found > ts and number == candidate + 1:
                number = candidate
        return number


class Samples:
    """Takes samples while `run` runs; everything else may be asked at any time.

    `usage` counts what the instance takes. `alarm` records an event in the audit log, `push` hands the appliance a
    report and says whether it was taken; both are told only what is news.
    """

    def __init__(
        self,
        source: str,
        usage: Usage,
        *,
        alarm: Callable[[dict[str, Any]], None],
        push: Callable[[ResourceReport], Awaitable[bool]],
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        every_s: float = EVERY_S,
    ) -> None:
        self.ring = Ring(source, begun_ms=int(now() * 1000))
        self._source, self._usage = source, usage
        self._alarm, self._push = alarm, push
        self._clock, self._now = clock, now
        self._every_s = every_s
        self._alerts = Alerts(every_s)
        self._heard: tuple[float, Heard] | None = None
        self._node_red: int | None = None
        self._before = (clock(), usage.read(None).cpu_s)
        self._sampled_at = clock()
        self._peak_mb = 0.0
        self._written_bytes = 0
        self._pushed: ResourceReport | None = None
        self._pushed_at = 0  # the ring's count then
        self._fresh = asyncio.Event()

    def hear(self, value: msgspec.Raw) -> None:
        """Take in what Node-RED says of itself; of a flow that says it all the time only the last is kept."""
        heard = msgspec.json.decode(value, type=Heard)
        if heard.believable():
            self._heard = (self._clock(), heard)

    async def run(self, node_red: Callable[[], int | None]) -> None:
        """Sample for ever; `node_red` says which process it is now."""
        due = self._clock() + self._every_s
        while True:
            await asyncio.sleep(due - self._clock())
            due = self._clock() + self._every_s
            if self.take(node_red()):
                await self._tell()

    def take(self, node_red: int | None) -> bool:
        """One sample, when Node-RED is there; the counters are read either way, so that no step is too long."""
        at, seen = self._clock(), self._usage.read(node_red)
        (before_at, before_s), self._before = self._before, (at, seen.cpu_s)
        self._written_bytes = seen.written_bytes
        if node_red is None or seen.memory_mb is None or at <= before_at:
            return False
        if node_red != self._node_red:
            self._begin(node_red, before_at)
        if at - self._sampled_at > _GAP_S:
            self._alerts.forget()
        self._sampled_at = at
        self._keep(seen.memory_mb, 100 * (seen.cpu_s - before_s) / (at - before_at))
        return True

    async def follow(self, number: int, silence_s: float) -> AsyncIterator[Sample | None]:
        """Samples from that number on as they come, None after `silence_s` without one. Whoever is slow misses none
        of those that are still kept."""
        while True:
            number = max(number, self.ring.oldest)
            if number < self.ring.count:
                yield self.ring.get(number)
                number += 1
                continue
            fresh = self._fresh
            try:
                async with asyncio.timeout(silence_s):
                    await fresh.wait()
            except TimeoutError:
                yield None

    def _begin(self, node_red: int, since: float) -> None:
        """Another process: what the one before it said and took is not its own."""
        self._node_red, self._peak_mb, self._pushed = node_red, 0.0, None
        if self._heard is not None and self._heard[0] <= since:
            self._heard = None

    def _keep(self, memory_mb: float, cpu: float) -> None:
        sample = Sample(self._source, int(self._now() * 1000), round(memory_mb, 2), round(cpu, 2))
        if self._heard is not None and self._clock() - self._heard[0] < _STALE_S:
            said = msgspec.structs.asdict(self._heard[1])
            said |= {name: int(said[name]) for name in _COUNTERS}
            sample = msgspec.structs.replace(sample, **said)
        self._peak_mb = max(self._peak_mb, memory_mb, self._usage.peak_mb(self._node_red or 0))
        self.ring.append(sample)
        self._judge(sample)
        fresh, self._fresh = self._fresh, asyncio.Event()
        fresh.set()

    def _judge(self, sample: Sample) -> None:
        limits = self._usage.limits()
        for alert in self._alerts.sampled(_shares(sample, limits), sample.ts):
            log.warning("%s was %g on average of five minutes", alert.kind, alert.average)
            event = {
                "event": f"resource.{alert.kind}",
                "interval": self._alerts.interval_s,
                "threshold": alert.threshold,
            }
            self._alarm({"timestamp": sample.ts, **event, "average": alert.average})

    async def _tell(self) -> None:
        limits = self._usage.limits()
        report = ResourceReport(
            sample=self.ring.get(self.ring.count - 1),
            peakMb=round(self._peak_mb, 1),
            cpuLimit=limits.cpu_percent,
            memoryLimitMb=limits.memory_mb,
            alerts=self._alerts.current,
            writtenBytes=self._written_bytes,
        )
        if not self._is_news(report) or not await self._push(report):
            return
        self._pushed, self._pushed_at = report, self.ring.count

    def _is_news(self, report: ResourceReport) -> bool:
        """At once what is too much, every half minute what people would see, at last what is unchanged."""
        old, age = self._pushed, self.ring.count - self._pushed_at
        if old is None or [each.kind for each in old.alerts] != [each.kind for each in report.alerts]:
            return True
        return age >= PUSH_AT_LEAST or (age >= PUSH_EVERY and _differs(old.sample, report.sample))


def _shares(sample: Sample, limits: Limits) -> dict[str, float | None]:
    """What is watched, in the measure of its threshold. Where nothing limits memory V8's heap is what ends Node-RED."""
    cpu, heap = sample.cpu, None
    if cpu is not None and limits.cpu_percent:
        cpu = 100 * cpu / limits.cpu_percent
    if sample.heap is not None and sample.heapLimit:
        heap = 100 * sample.heap / sample.heapLimit
    memory = 100 * sample.ps / limits.memory_mb if sample.ps is not None and limits.memory_mb else heap
    return {CPU: cpu, MEMORY: memory, HEAP: heap, LAG: sample.el99}


def _differs(old: Sample, new: Sample) -> bool:
    """Whether people would see a difference: a percent of a core, 2 % of memory, half of the lag."""
    return (
        abs((new.cpu or 0) - (old.cpu or 0)) >= 1
        or abs((new.ps or 0) - (old.ps or 0)) >= max(1.0, 0.02 * (old.ps or 0))
        or abs((new.el99 or 0) - (old.el99 or 0)) >= max(0.1, 0.5 * (old.el99 or 0))
    )
