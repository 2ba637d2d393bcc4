"""A running reconciler with the real driver and real processes; what is wanted and what launchers say is the test's."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from appliance.drivers.child import Child
from appliance.drivers.localfs import LocalFs
from appliance.drivers.program import Command
from appliance.errors import Unavailable
from appliance.events import Bus
from appliance.launcher_client import PLAINLY
from appliance.model import (
    Desired,
    InstanceRef,
    InstanceSpec,
    LauncherReport,
    LauncherState,
    Manner,
    Observation,
    Phase,
)
from appliance.reconcile.controller import Reconciler
from appliance.reconcile.memory import Memory
from appliance.reconcile.neighbours import Settings
from appliance.reconcile.observed import Observed
from appliance.reconcile.queue import KeyedQueue
from appliance.schema.instances import InstanceMeta
from appliance.tasks import Tasks
from tests.contract.rig import FAKE, GRACE, driver_on, spec_of
from tests.support import eventually

A, B, C = "a" * 8, "b" * 8, "c" * 8


class Database:
    """What is wanted, in memory."""

    def __init__(self) -> None:
        self.rows: dict[str, InstanceSpec] = {}
        self.failing = False

    async def specs(self) -> Sequence[InstanceSpec]:
        return list(self.rows.values())

    async def spec(self, instance_id: str) -> InstanceSpec | None:
        if self.failing:
            raise Unavailable("the disk is full")
        return self.rows.get(instance_id)

    async def removed(self, instance_id: str) -> None:
        del self.rows[instance_id]


class Launchers:
    """Living launchers: they carry out what they are told and answer what they do. `deaf` ones refuse."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int | None]] = []
        self.answers: dict[str, LauncherReport] = {}
        self.deaf = False
        self.asked = 0

    async def info(self, at: InstanceSpec) -> LauncherReport:
        self.asked += 1
        if self.deaf or at.id not in self.answers:
            raise Unavailable("nobody listens", code="connection_refused")
        return self.answers[at.id]

    async def command(
        self, at: InstanceSpec, command: str, generation: int | None = None, manner: Manner = PLAINLY
    ) -> None:
        self.told.append((command, generation))
        if self.deaf:
            raise Unavailable("nobody listens", code="connection_refused")


class Box:
    """A reconciler that runs."""

    def __init__(
        self, home: Path, driver: LocalFs, database: Database, launchers: Launchers, patience_s: float, chance: float
    ) -> None:
        self.home, self.driver, self.database, self.launchers = home, driver, database, launchers
        self.queue = KeyedQueue()
        self.bus = Bus()
        self.observed = Observed(self.bus, lambda: datetime.now(UTC))
        self.tickets = 0
        self.orphans: list[str] = []
        self.sites = 0
        self.memory_bytes = 1 << 40
        self.set_by = timedelta()  # how far the clock was set
        self.while_placing: Callable[[], None] = lambda: None
        self.reconciler = Reconciler(
            driver=driver,
            wanted=database,
            launchers=launchers,
            observed=self.observed,
            queue=self.queue,
            orphans=self.tell,
            sites_changed=self.count,
            clock=lambda: datetime.now(UTC) + self.set_by,
            memory=Memory(lambda: self.memory_bytes, lambda _: 100 << 20),
            idle_cpus=lambda: 0.0,
            settings=Settings(timedelta(seconds=patience_s), GRACE, starts_at_most=4, resync_s=1.0),
            chance=lambda: chance,
        )
        self.observed.connect(self, self.reconciler.reported)

    def lower(self, instance_id: str) -> None:
        """The gate is of no interest here."""

    def verify(self, instance_id: str) -> None:
        self.observed.serving(instance_id, 1)

    def tell(self, orphans: Sequence[Observation]) -> None:
        self.orphans = [orphan.id for orphan in orphans]

    def count(self) -> None:
        self.sites += 1

    def want(self, instance_id: str = A, **changes: object) -> None:
        row = self.database.rows.get(instance_id) or spec_of(instance_id)
        self.database.rows[instance_id] = replace(row, **changes)
        self.queue.poke(instance_id)

    def meta(self, instance_id: str = A) -> InstanceMeta:
        row = self.database.rows.get(instance_id)
        return self.observed.meta(instance_id, row.desired if row else Desired.DELETING)

    async def placed(self, instance_id: str = A, *, generation: int = 1, other_than: int | None = None) -> int:
        async def look() -> int | None:
            seen = await self.driver.observe(InstanceRef(instance_id))
            right = seen.phase is Phase.UP and seen.generation == generation and seen.pid != other_than
            # The reconciler must have seen it too: what a launcher nobody has seen yet says is not shown.
            entry = self.observed.entry(instance_id)
            return seen.pid if right and (entry is None or entry.observation == seen) else None

        pid = await eventually(look, what=f"{instance_id} has a launcher of generation {generation}")
        assert pid is not None
        return pid

    def says(self, pid: int, state: str = "running", instance_id: str = A, *, command_generation: int = 1) -> None:
        report = LauncherReport(LauncherState(state), 0, pid, 1, command_generation, {}, "", "", datetime.now(UTC))
        self.launchers.answers[instance_id] = report
        self.observed.report(instance_id, report)


@asynccontextmanager
async def box_on(
    home: Path,
    behaviour: str = "good",
    *,
    patience_s: float = 30,
    chance: float = 0.05,
    database: Database | None = None,
    launchers: Launchers | None = None,
) -> AsyncIterator[Box]:
    instances, executor, tasks = home / "instances", ThreadPoolExecutor(4), Tasks()

    async def mint(_: InstanceSpec) -> str:
        box.tickets += 1
        box.while_placing()
        return "ticket"

    command = Command((sys.executable, "-I", str(FAKE), behaviour), {"PATH": "/usr/bin:/bin"}, "http://127.0.0.1:1")
    driver = LocalFs(instances, Child(instances, command, mint, executor), executor, replace_grace=GRACE)
    box = Box(home, driver, database or Database(), launchers or Launchers(), patience_s, chance)
    await box.reconciler.start()
    box.reconciler.run(tasks)
    try:
        yield box
    finally:
        await tasks.close()
        await box.reconciler.close()
        executor.shutdown()


@pytest.fixture
async def swept(home: Path) -> AsyncIterator[None]:
    yield
    async with driver_on(home) as driver:
        for seen in await driver.list():
            await driver.stop(InstanceRef(seen.id), grace=GRACE)
