"""The reconcile loop with the real driver and real processes; what is wanted and what launchers say is the test's."""

from __future__ import annotations

import asyncio
import os
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from appliance.model import Desired, InstanceRef, LauncherReport, LauncherState
from tests.blocking import Blocked
from tests.contract.rig import driver_on, gone, spec_of
from tests.reconcile_box import A, B, C, Database, Launchers, box_on, swept
from tests.support import eventually

__all__ = ["swept"]
pytestmark = pytest.mark.usefixtures("swept")


async def test_from_wanted_to_running_to_removed(home: Path, never_blocking: Blocked) -> None:
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
    # Upgraded meanwhile: it would start launchers in another way by now.
    async with box_on(home, "slow", database=database, launchers=launchers) as box:
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


async def test_starts_take_turns_while_the_processors_are_busy(home: Path) -> None:
    async with box_on(home) as box:
        box.want(A)
        await box.placed(A)
        box.want(C, number=2)
        await eventually(lambda: box.meta(C).reason == "waiting_for_turn")
        box.want(B, number=1)
        await eventually(lambda: box.meta(B).reason == "waiting_for_turn")
        for instance_id in (A, B, C):  # lower numbers first, whoever asked first
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
