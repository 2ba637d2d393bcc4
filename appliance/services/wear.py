"""What is written to the disk, and by whom: a card bears so many writes, and a flow can use them up within months.

Launchers say what they and all below them wrote; the kernel counts what the whole machine writes to the disk. Kept by
day, in a small file, over restarts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
from msgspec import Struct, field

from appliance.events import Bus, Event
from appliance.schema.operations import DiskWear, Wear, WearReport
from appliance.system.blockdev import Device
from appliance.system.files import write_atomic

log = logging.getLogger(__name__)

DAYS = 7
KEEP_EVERY_S = 3600.0  # a file of a few kB: to write it oftener would be what it is there to find
READ_EVERY_S = 300.0
LEAST_DAYS = 0.25  # before that an average says little: an install, a start
BEARS_WRITES = 500  # of each cell; cheap cards of today bear 500 to 3000, controllers spread them
YEAR_DAYS = 365.0
DISK = "disk"  # beside the ids of instances


class Tally(Struct):
    """Bytes by day (`2026-11-23`) of one instance or disk, and since when they are counted."""

    since: str
    days: dict[str, int] = field(default_factory=dict)


class WearMeter:
    """All methods are for the event loop. `device`: reads the counter of the disk that holds the box; None where there
    is none (a disk on the network, or in memory)."""

    def __init__(
        self,
        file: Path,
        *,
        clock: Callable[[], datetime],
        device: Callable[[], Device | None],
        bus: Bus,
    ) -> None:
        self._file = file
        self._clock = clock
        self._device = device
        self._tallies = _read(file)
        self._last: dict[str, tuple[str, int]] = {}  # launcher and its counter
        self._disk: Device | None = None
        bus.listen(self._hear)

    def written(self, instance_id: str, source: str, counter: int) -> None:
        """A launcher says what it wrote since it lives."""
        known = self._last.get(instance_id)
        self._last[instance_id] = (source, counter)
        if known is None and self._kept(instance_id):
            return  # how much of it was counted before this appliance was started is not known
        before = known[1] if known is not None and known[0] == source else 0
        self._add(instance_id, max(0, counter - before))

    async def run(self) -> None:
        """Read the disk's counter and keep what was counted, for ever."""
        loop = asyncio.get_running_loop()
        due = loop.time() + KEEP_EVERY_S
        while True:
            await self.read()
            await asyncio.sleep(READ_EVERY_S)
            if loop.time() >= due:
                due = loop.time() + KEEP_EVERY_S
                await self.keep()

    async def read(self) -> None:
        """Count what was written to the disk since the last look."""
        seen = await asyncio.to_thread(self._device)
        known, self._disk = self._disk, seen
        if seen is None:
            return
        grown = seen.written_bytes - known.written_bytes if known is not None and known.name == seen.name else 0
        self._add(DISK, max(0, grown))

    async def keep(self) -> None:
        """Write it down; a full disk costs only that."""
        try:
            await asyncio.to_thread(write_atomic, self._file, msgspec.json.encode(self._tallies), 0o600)
        except OSError as error:
            log.warning("the wear meter can't be kept: %s", error)

    def report(self, instances: Sequence[tuple[str, str]]) -> WearReport:
        """Of these instances (id, name), those that write most first, and of the disk."""
        found = [self._wear(instance_id, name) for instance_id, name in instances if instance_id in self._tallies]
        return WearReport(disk=self._disk_wear(), instances=sorted(found, key=lambda each: -each.per_day_bytes))

    def per_day(self, instance_id: str) -> int | None:
        """Bytes a day that it writes on average; None while too little was measured."""
        tally = self._tallies.get(instance_id)
        return None if tally is None or self._measured(tally) < LEAST_DAYS else self._average(tally)

    def _wear(self, instance_id: str, name: str) -> Wear:
        tally = self._tallies[instance_id]
        return Wear(
            id=instance_id,
            name=name,
            per_day_bytes=self._average(tally),
            today_bytes=tally.days.get(self._today(), 0),
            days=round(self._measured(tally), 2),
        )

    def _disk_wear(self) -> DiskWear | None:
        tally, device = self._tallies.get(DISK), self._disk
        if tally is None or device is None:
            return None
        days, average = self._measured(tally), self._average(tally)
        years = device.size_bytes * BEARS_WRITES / average / YEAR_DAYS if average and days >= LEAST_DAYS else None
        return DiskWear(
            device=device.name,
            card=device.card,
            size_bytes=device.size_bytes,
            per_day_bytes=average,
            days=round(days, 2),
            years=None if years is None else round(min(years, 999), 1),
        )

    def _add(self, key: str, count: int) -> None:
        tally = self._kept(key) or Tally(self._clock().isoformat())
        self._tallies[key] = tally
        today = self._today()
        tally.days[today] = tally.days.get(today, 0) + count
        for old in sorted(tally.days)[:-DAYS]:
            del tally.days[old]

    def _kept(self, key: str) -> Tally | None:
        """What there is, unless it is of a clock that was set back: what lies ahead counts for nothing."""
        tally = self._tallies.get(key)
        if tally is not None and datetime.fromisoformat(tally.since) > self._clock() + timedelta(days=1):
            return None
        return tally

    def _measured(self, tally: Tally) -> float:
        since = max(datetime.fromisoformat(tally.since), self._midnight() - timedelta(days=DAYS - 1))
        return max(0.0, (self._clock() - since) / timedelta(days=1))

    def _average(self, tally: Tally) -> int:
        first = f"{self._midnight() - timedelta(days=DAYS - 1):%Y-%m-%d}"
        total = sum(count for day, count in tally.days.items() if day >= first)
        return int(total / max(self._measured(tally), LEAST_DAYS))

    def _midnight(self) -> datetime:
        return self._clock().replace(hour=0, minute=0, second=0, microsecond=0)

    def _today(self) -> str:
        return f"{self._clock():%Y-%m-%d}"

    def _hear(self, event: Event) -> None:
        if event.kind == "instance.removed":
            self._tallies.pop(event.key, None)
            self._last.pop(event.key, None)


def _read(file: Path) -> dict[str, Tally]:
    """What was kept; nothing when it is spoiled: it is counted anew."""
    try:
        found = msgspec.json.decode(file.read_bytes(), type=dict[str, Tally])
        return {key: tally for key, tally in found.items() if datetime.fromisoformat(tally.since).tzinfo is not None}
    except (OSError, ValueError, msgspec.DecodeError):
        return {}
