"""A full disk is contained: what each instance takes is measured, and who takes more than he may is suspended.

Nobody but an instance's own user looks into its directory, so its launcher measures. That is asked every half minute,
and at once when the disk runs low. Some room is set aside for Weir's own state, and given up before it is missing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from appliance.errors import WeirError
from appliance.launcher_client import DiskUse
from appliance.model import SYSTEM, Desired, InstanceSpec, Subject
from appliance.services.conditions import Conditions

log = logging.getLogger(__name__)

MIB = 1024 * 1024
EVERY_S = 30.0
LOOK_S = 1.0  # at the free room of the whole disk
LOW_PERCENT, LOW_BYTES = 10, 512 * MIB  # the lesser of the two is "low"
DEFAULT_PERCENT, DEFAULT_LEAST_MB = 20, 512  # of the disk, for an instance of which nothing was said
RESERVE_BYTES = 32 * MIB
AT_ONCE = 4


class Instances(Protocol):
    async def specs(self) -> list[InstanceSpec]: ...

    async def suspend(self, subject: Subject, instance_id: str) -> None: ...


Measure = Callable[[InstanceSpec], Awaitable[DiskUse]]


class DiskQuota:
    """`place` is on the disk that instances fill; `reserve` is the file that keeps room for Weir's own."""

    def __init__(
        self, place: Path, reserve: Path, *, instances: Instances, measure: Measure, conditions: Conditions
    ) -> None:
        self._place, self._reserve = place, reserve
        self._instances, self._measure, self._conditions = instances, measure, conditions
        self._used: dict[str, int] = {}

    def used_mb(self, instance_id: str) -> float | None:
        """As it was measured last; None while that was not."""
        used = self._used.get(instance_id)
        return round(used / MIB, 1) if used is not None else None

    async def run(self) -> None:
        """Look, for ever."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            low = await asyncio.to_thread(self._look)
            if low or loop.time() >= due:
                await self.measure()
                due = loop.time() + EVERY_S
            await asyncio.sleep(5 * LOOK_S if low else LOOK_S)

    async def measure(self) -> None:
        """Ask all that run, suspend who takes more than he may."""
        specs = [spec for spec in await self._instances.specs() if spec.desired in (Desired.RUNNING, Desired.STOPPED)]
        total_mb = await asyncio.to_thread(_total_mb, self._place)
        room = asyncio.Semaphore(AT_ONCE)

        async def one(spec: InstanceSpec) -> None:
            async with room:
                with contextlib.suppress(WeirError):  # it starts, or is busy: asked again soon
                    await self._judge(spec, await self._measure(spec), total_mb)

        await asyncio.gather(*(one(spec) for spec in specs))

    async def _judge(self, spec: InstanceSpec, use: DiskUse, total_mb: int) -> None:
        self._used[spec.id] = use.used_bytes
        limit_mb = limit_of(spec, total_mb)
        if use.whole and use.used_bytes <= limit_mb * MIB:
            self._conditions.clear(f"disk_quota:{spec.id}")
            return
        much = f"{use.used_bytes / MIB:.0f} MB of {limit_mb} MB"
        evidence = much if use.whole else f"{much}, and there are files that it hides from its own launcher"
        self._conditions.raise_(
            f"disk_quota:{spec.id}",
            title=f"{spec.name} was suspended: it took too much of the disk",
            cause="Its files took more than it may have, so the box could have run out of room for everybody.",
            evidence=evidence,
            next_step=f"Give it more and start it: weir instance limits {spec.name} --disk {2 * limit_mb}; or look for "
            f"what writes: weir instance logs {spec.name}",
            about=spec.id,
        )
        log.warning("instance %s is suspended: it takes %s of the disk", spec.id, evidence)
        await self._instances.suspend(SYSTEM, spec.id)

    def _look(self) -> bool:
        """Whether the disk runs low; keeps the reserve, or gives it up. Blocks."""
        try:
            seen = os.statvfs(self._place)
            free, total = seen.f_bavail * seen.f_frsize, seen.f_blocks * seen.f_frsize
            low_bytes = min(total * LOW_PERCENT // 100, LOW_BYTES)
            if free < RESERVE_BYTES // 2:
                self._reserve.unlink(missing_ok=True)
            elif free > low_bytes + RESERVE_BYTES and not self._reserve.exists():
                _allocate(self._reserve)
        except OSError as error:
            log.warning("the room that is left can't be looked at: %s", error)
            return False
        return free < low_bytes


def limit_of(spec: InstanceSpec, total_mb: int) -> int:
    """How much of the disk an instance may take, in MB."""
    return spec.limits.disk_mb or max(DEFAULT_LEAST_MB, total_mb * DEFAULT_PERCENT // 100)


def _total_mb(place: Path) -> int:
    seen = os.statvfs(place)
    return seen.f_blocks * seen.f_frsize // MIB


def _allocate(path: Path) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(fd, 0, RESERVE_BYTES)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)
