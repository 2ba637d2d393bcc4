"""The reconcile loop with the real driver and real processes; what is wanted and what launchers say is the test's."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from appliance.drivers.child import Child, Command
from appliance.drivers.localfs import LocalFs
from appliance.errors import Unavailable
from appliance.events import Bus
from appliance.model import Desired, InstanceRef, InstanceSpec, LauncherReport, LauncherState, Observation, Phase
from appliance.reconcile.controller import Reconciler, Settings
from appliance.reconcile.observed import Observed
from appliance.reconcile.queue import KeyedQueue
from appliance.schema.instances import InstanceMeta
from appliance.tasks import Tasks
from tests.contract.test_driver_child import FAKE, GRACE, driver_on, gone, spec_of
from tests.support import eventually

pytestmark = pytest.mark.usefixtures("swept")
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

    async def info(self, at: InstanceSpec) -> LauncherReport:
        if self.deaf or at.id not in self.answers:
            raise Unavailable("nobody listens", code="connection_refused")
        return self.answers[at.id]

    async def command(self, at: InstanceSpec, command: str, generation: int | None = None) -> None:
        self.told.append((command, generation))
        if self.deaf:
            raise Unavailable("nobody listens", code="connection_refused")


class Box:
    """A reconciler that runs."""

    def __init__(
        self, home: Path, driver: LocalFs, database: Database, launchers: Launchers, patience_s: float
    ) -> None:
        self.home, self.driver, self.database, self.launchers = home, driver, database, launchers
        self.queue = KeyedQueue()
        self.observed = Observed(Bus(), lambda: datetime.now(UTC))
        self.orphans: list[str] = []
        self.sites = 0
        self.reconciler = Reconciler(
            driver=driver,
            wanted=database,
            launchers=launchers,
            observed=self.observed,
            queue=self.queue,
            orphans=self.tell,
            sites_changed=self.count,
            clock=lambda: datetime.now(UTC),
            memory_available_bytes=lambda: 1 << 40,
            settings=Settings(timedelta(seconds=patience_s), GRACE, starts_at_once=1, resync_s=1.0),
            chance=lambda: 0.05,
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
    database: Database | None = None,
    launchers: Launchers | None = None,
) -> AsyncIterator[Box]:
    instances, executor, tasks = home / "instances", ThreadPoolExecutor(4), Tasks()

    async def mint(_: InstanceSpec) -> str:
        return "ticket"

    command = Command((sys.executable, "-I", str(FAKE), behaviour), {"PATH": "/usr/bin:/bin"}, "http://127.0.0.1:1")
    driver = LocalFs(instances, Child(instances, command, mint, executor), executor, replace_grace=GRACE)
    box = Box(home, driver, database or Database(), launchers or Launchers(), patience_s)
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


async def test_from_wanted_to_running_to_removed(home: Path) -> None:
    async with box_on(home) as box:
        box.want()
        pid = await box.placed()
        assert box.meta().state == "starting"
        box.says(pid)
        assert box.meta().state == "running"
        box.want(desired=Desired.SUSPENDED)
        await eventually(lambda: box.meta().state == "suspended")
        box.want(desired=Desired.RUNNING, generation=2)
        await box.placed(generation=2)
        box.want(desired=Desired.DELETING)
        await eventually(lambda: A not in box.database.rows)
        await eventually(lambda: not (home / "instances" / A).exists())
        await eventually(lambda: box.observed.known() == [])
        assert box.sites == 2  # it came and went


async def test_killed_launcher_comes_back_after_a_pause(home: Path) -> None:
    async with box_on(home) as box:
        box.want()
        pid = await box.placed()
        box.says(pid)
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda: box.meta().state == "crashed")
        assert box.meta().node_red_pid is None
        await box.placed(other_than=pid)
        await eventually(lambda: box.meta().restarts == 1)


async def test_launcher_that_ends_at_once_is_tried_ever_more_seldom(home: Path) -> None:
    async with box_on(home, "exits") as box:
        box.want()
        await eventually(lambda: box.meta().restarts >= 3, timeout_s=20)
        meta = await eventually(lambda: (m := box.meta()).next_try_at and m)
        assert meta.state == "crashed"
        assert meta.reason == "launcher_exited"
        assert "exit code 7" in meta.message


async def test_launcher_that_never_speaks_is_replaced(home: Path) -> None:
    async with box_on(home, patience_s=1.0) as box:
        box.want()
        pid = await box.placed()
        await box.placed(other_than=pid)


async def test_lost_report_is_asked_for_before_anything_is_ended(home: Path) -> None:
    async with box_on(home, patience_s=0.5) as box:
        box.want()
        pid = await box.placed()
        report = LauncherReport(LauncherState.RUNNING, 3, pid, 1, 1, {}, "", "", datetime.now(UTC))
        box.launchers.answers[A] = report
        await eventually(lambda: box.meta().state == "running")
        assert await box.placed() == pid


async def test_restart_of_the_appliance_adopts(home: Path) -> None:
    database, launchers = Database(), Launchers()
    async with box_on(home, database=database, launchers=launchers) as box:
        box.want()
        pid = await box.placed()
        box.says(pid)
    async with box_on(home, database=database, launchers=launchers) as box:
        await eventually(lambda: box.meta().state == "running")
        assert (await box.placed(), box.meta().restarts) == (pid, 0)


async def test_what_ended_meanwhile_is_started_at_once(home: Path) -> None:
    database = Database()
    async with box_on(home, database=database) as box:
        box.want()
        pid = await box.placed()
    os.kill(pid, signal.SIGKILL)
    await gone({pid})
    async with box_on(home, database=database) as box:
        await box.placed(other_than=pid)
        assert box.meta().restarts == 0


async def test_orphans_are_named_and_left_alone(home: Path) -> None:
    async with driver_on(home) as driver:
        await driver.ensure(spec_of(B), report=lambda _step, _fraction: None)
        pid = (await driver.observe(InstanceRef(B))).pid
    async with box_on(home) as box:
        assert box.orphans == [B]
        box.want()
        await box.placed()
        assert await box.placed(B) == pid


async def test_missing_stack_is_said_and_waited_for(home: Path) -> None:
    async with box_on(home) as box:
        built = spec_of().stack
        box.want(stack=None)
        meta = await eventually(lambda: (m := box.meta()).state == "error" and m)
        assert meta.reason == "stack_missing"
        assert "weir stack build" in meta.message
        box.database.rows[A] = replace(box.database.rows[A], stack=built)  # no poke: the resync finds it
        await box.placed()


async def test_starts_take_turns(home: Path) -> None:
    async with box_on(home) as box:
        box.want(A)
        await box.placed(A)
        for instance_id in (B, C):  # one after the other: who asks first gets the next turn
            box.want(instance_id)
            await eventually(lambda of=instance_id: box.meta(of).reason == "waiting_for_turn")  # type: ignore[misc]
        for instance_id in (A, B, C):
            pid = await box.placed(instance_id)
            up = [o.id for o in await box.driver.list()]
            assert up == [A, B, C][: len(up)]
            assert len(up) == [A, B, C].index(instance_id) + 1
            box.says(pid, instance_id=instance_id)


async def test_command_is_told_again_until_it_is_carried_out(home: Path) -> None:
    async with box_on(home) as box:
        box.want()
        pid = await box.placed()
        box.says(pid)
        box.launchers.deaf = True
        box.want(command_generation=2, desired=Desired.STOPPED)
        await eventually(lambda: len(box.launchers.told) >= 2)
        assert box.meta().state == "stopping"
        assert box.meta().reason == "launcher_unreachable"
        box.launchers.deaf = False
        count = len(box.launchers.told)
        await eventually(lambda: len(box.launchers.told) > count)
        box.says(pid, "stopped", command_generation=2)
        await eventually(lambda: box.meta().reason == "")
        assert box.meta().state == "stopped"
        assert set(box.launchers.told) == {("stop", 2)}
        assert await box.placed() == pid


async def test_database_that_is_away_is_asked_again(home: Path) -> None:
    async with box_on(home) as box:
        box.database.failing = True
        box.want()
        await eventually(box.queue.idle)
        assert await box.driver.list() == []
        box.database.failing = False
        await box.placed()


async def test_new_generation_of_many_pokes_is_one_launcher(home: Path) -> None:
    async with box_on(home) as box:
        for generation in range(1, 6):
            box.want(generation=generation)
            await asyncio.sleep(0)
        pid = await box.placed(generation=5)
        await eventually(lambda: f'"pid": {pid}' in _read(home / "instances" / A / "seen.json"))
        assert len(await box.driver.list()) == 1


def _read(file: Path) -> str:
    return file.read_text() if file.exists() else ""
