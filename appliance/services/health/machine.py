"""The machine as a whole: one look at disks, memory, clock and heat."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

from msgspec import Struct

from appliance.config import Home
from appliance.services.health import disk
from appliance.services.health.clock import ClockCheck
from appliance.services.health.heat import HeatCheck
from appliance.services.health.memory import MemoryCheck
from appliance.services.health.trouble import Seconds, Trouble
from appliance.system import vitals
from appliance.system.vitals import ClockState, Disk, Heat, Memory


class Readings(Struct, frozen=True):
    """What was read at one moment."""

    disks: tuple[Disk, ...]
    memory: Memory
    clock: ClockState
    heat: Heat | None


def measure(home: Home) -> Readings:
    """Ask the kernel. Blocks for a moment (a dead network disk: for long). Raises OSError."""
    return Readings(tuple(disk.measured(home)), vitals.memory(), vitals.clock_state(), vitals.heat())


class Machine:
    """Quick: also looked at whenever somebody asks how the box is."""

    name = "machine"
    every_s = 15.0
    quick = True

    def __init__(
        self,
        home: Home,
        clock: Callable[[], datetime],
        uptime_s: Seconds,
        measure: Callable[[Home], Readings] = measure,
    ) -> None:
        self._home = home
        self._measure = measure
        self._disks = disk.Disks()
        self._memory = MemoryCheck(uptime_s)
        self._clock = ClockCheck(clock, uptime_s)
        self._heat = HeatCheck(uptime_s)

    async def look(self) -> Sequence[Trouble]:
        readings = await asyncio.to_thread(self._measure, self._home)
        return [
            *self._disks.take(readings.disks),
            *self._memory.take(readings.memory),
            *self._clock.take(readings.clock),
            *self._heat.take(readings.heat),
        ]
