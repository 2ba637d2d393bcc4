"""A check that reads from a disk which no longer answers: told, waited for once, and nobody else waits with it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from appliance.events import Bus
from appliance.services.conditions import Conditions
from appliance.services.health.health import Health
from appliance.services.health.trouble import Trouble
from tests.support import eventually

FULL = Trouble("disk_full", "The disk is full", "No room.")


class Disk:
    """Says that it is full, when it is let."""

    name = "machine"
    every_s = 0.0
    quick = True

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.answers = asyncio.Event()
        self.answers.set()
        self.reads = 0
        self.broken = False

    async def look(self) -> Sequence[Trouble]:
        self.reads += 1
        self.began.set()
        await self.answers.wait()
        if self.broken:
            raise OSError(5, "Input/output error")
        return [FULL]


class Other:
    """A check that comes after it."""

    name = "other"
    every_s = 0.0
    quick = True

    def __init__(self) -> None:
        self.looks = 0

    async def look(self) -> Sequence[Trouble]:
        self.looks += 1
        return []


def parts(disk: Disk, *more: Other) -> tuple[Health, Conditions]:
    conditions = Conditions(lambda: datetime.now(UTC), Bus())
    return Health(conditions, (disk, *more), time.monotonic, deadline_s=0.05), conditions


def keys(conditions: Conditions) -> set[str]:
    return {condition.key for condition in conditions.current()}


async def test_a_disk_that_does_not_answer_is_told_and_read_once() -> None:
    disk, other = Disk(), Other()
    health, conditions = parts(disk, other)
    await health.refresh()
    assert keys(conditions) == {"disk_full"}
    disk.answers.clear()
    async with asyncio.timeout(5):
        for _ in range(3):
            await health.refresh()
    assert keys(conditions) == {"disk_full", "check_stuck:machine"}  # what was known of it stands
    assert (disk.reads, other.looks) == (2, 4)
    disk.answers.set()
    await asyncio.sleep(0)  # the look that was under way comes back
    await health.refresh()
    assert (keys(conditions), disk.reads) == ({"disk_full"}, 2)


async def test_who_asks_and_goes_away_leaves_no_second_read_behind() -> None:
    disk = Disk()
    disk.answers.clear()
    health, conditions = parts(disk)
    asked = asyncio.ensure_future(health.refresh())
    await disk.began.wait()
    asked.cancel()
    await asyncio.wait({asked})
    await health.refresh()
    assert (keys(conditions), disk.reads) == ({"check_stuck:machine"}, 1)
    disk.answers.set()
    await asyncio.sleep(0)
    await health.refresh()
    assert (keys(conditions), disk.reads) == ({"disk_full"}, 1)


async def test_a_disk_that_fails_in_the_end_does_not_hang_any_more() -> None:
    disk = Disk()
    health, conditions = parts(disk)
    await health.refresh()
    disk.answers.clear()
    await health.refresh()
    assert keys(conditions) == {"disk_full", "check_stuck:machine"}
    disk.broken = True
    disk.answers.set()
    await asyncio.sleep(0)
    await health.refresh()
    assert keys(conditions) == {"disk_full"}


async def test_a_look_under_way_ends_with_the_appliance() -> None:
    disk = Disk()
    disk.answers.clear()
    health, conditions = parts(disk)
    running = asyncio.ensure_future(health.run())
    await eventually(lambda: keys(conditions) == {"check_stuck:machine"}, 5)
    running.cancel()
    await asyncio.wait({running}, timeout=5)
    await eventually(lambda: len(asyncio.all_tasks()) == 1, 5)
