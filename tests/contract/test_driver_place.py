"""The driver contract (`appliance.drivers.base.Driver`), clauses 1 to 4: placing, stopping, removing."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from appliance.errors import Unavailable
from appliance.model import InstanceRef, InstanceSpec, Phase
from tests.contract.rig import GRACE, SECRET, A, B, Rig, gone, in_phase, seen_by_fake, silent, spec_of, tree_of
from tests.support import eventually


async def test_1_same_spec_changes_nothing(rig: Rig, home: Path) -> None:
    async with rig.driver_on(home) as driver:
        first = await driver.ensure(spec_of(), report=silent)
        assert first == await driver.ensure(spec_of(), report=silent)
        assert len(await driver.list()) == 1


async def test_1_new_generation_replaces(rig: Rig, home: Path) -> None:
    async with rig.driver_on(home) as driver:
        await driver.ensure(spec_of(), report=silent)
        old = (await seen_by_fake(home))["pid"]
        await driver.ensure(spec_of(generation=2), report=silent)
        seen = await driver.observe(InstanceRef(A))
        assert (seen.phase, seen.generation) == (Phase.UP, 2)
        assert seen.pid != old
        await gone({old})


async def test_1_at_the_same_time_only_one_launcher(rig: Rig, home: Path) -> None:
    async with rig.driver_on(home) as driver:
        placements = await asyncio.gather(*(driver.ensure(spec_of(), report=silent) for _ in range(5)))
        assert len({str(p.handle) for p in placements}) == 1
        assert len(rig.launchers(home)) == 1


async def test_1_may_be_retried_after_an_error(rig: Rig, home: Path) -> None:
    answers = iter([Unavailable("the store is away"), None])

    async def failing(_: InstanceSpec) -> str:
        if (error := next(answers)) is not None:
            raise error
        return SECRET

    async with rig.driver_on(home, mint=failing) as driver:
        with pytest.raises(Exception, match="the store is away"):
            await driver.ensure(spec_of(), report=silent)
        assert (await driver.observe(InstanceRef(A))).phase is Phase.EXITED
        await driver.ensure(spec_of(), report=silent)
        assert (await driver.observe(InstanceRef(A))).phase is Phase.UP


@pytest.mark.parametrize("behaviour", ["slow", "never", "floods", "long"])
async def test_1_returns_when_it_is_placed_not_when_it_is_ready(rig: Rig, home: Path, behaviour: str) -> None:
    async with rig.driver_on(home, behaviour) as driver:
        async with asyncio.timeout(10):
            placement = await driver.ensure(spec_of(), report=silent)
        assert placement.generation == 1
        assert (await driver.observe(InstanceRef(A))).phase is Phase.UP
        await driver.stop(InstanceRef(A), grace=GRACE)
        await eventually(lambda: rig.launchers(home) == [])


@pytest.mark.parametrize("behaviour", ["stubborn", "never", "orphans"])
async def test_1_replaces_whatever_the_old_one_does(rig: Rig, home: Path, behaviour: str) -> None:
    async with rig.driver_on(home, behaviour) as driver:
        await driver.ensure(spec_of(), report=silent)
        old = set(rig.launchers(home))
    async with rig.driver_on(home) as driver:
        await driver.ensure(spec_of(generation=2), report=silent)
        await gone(old)
        assert len(rig.launchers(home)) == 1


async def test_1_places_anew_what_has_ended(rig: Rig, home: Path) -> None:
    async with rig.driver_on(home, "crashes") as driver:
        await driver.ensure(spec_of(), report=silent)
        first = await in_phase(driver, Phase.EXITED)
    async with rig.driver_on(home) as driver:
        await driver.ensure(spec_of(), report=silent)
        again = await driver.observe(InstanceRef(A))
        assert again.phase is Phase.UP
        assert again.pid != first.pid


async def test_2_cancelled_ensure_leaves_the_truth(rig: Rig, home: Path) -> None:
    asked, may_go = asyncio.Event(), asyncio.Event()

    async def slow(_: InstanceSpec) -> str:
        asked.set()
        await may_go.wait()
        return SECRET

    async with rig.driver_on(home, mint=slow) as driver:
        ensuring = asyncio.create_task(driver.ensure(spec_of(), report=silent))
        await asked.wait()
        ensuring.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ensuring
        assert (await driver.observe(InstanceRef(A))).phase is Phase.CREATING
        record = json.loads(rig.record(home).read_text())
        assert (record["id"], record["generation"], record["identity"]) == (A, 1, None)
        may_go.set()
        await in_phase(driver, Phase.UP)
        assert (await driver.ensure(spec_of(), report=silent)).generation == 1


async def test_3_stop_is_idempotent_and_waits(rig: Rig, home: Path) -> None:
    async with rig.driver_on(home) as driver:
        await driver.ensure(spec_of(), report=silent)
        pid = (await seen_by_fake(home))["pid"]
        await driver.stop(InstanceRef(A), grace=GRACE)
        await gone({pid})
        assert (await driver.observe(InstanceRef(A))).phase is Phase.ABSENT
        await driver.stop(InstanceRef(A), grace=GRACE)
        await driver.stop(InstanceRef(B), grace=GRACE)


@pytest.mark.parametrize("behaviour", ["stubborn", "family", "orphans", "bare"])
async def test_3_stop_ends_the_whole_tree(rig: Rig, home: Path, behaviour: str) -> None:
    async with rig.driver_on(home, behaviour) as driver:
        await driver.ensure(spec_of(), report=silent)
        pid = (await seen_by_fake(home))["pid"]
        members = {"family": 3, "bare": 2}.get(behaviour, 1)
        pids = await eventually(lambda: len(found := tree_of(pid)) >= members and found)
        pids |= set(rig.strays(home))
        await driver.stop(InstanceRef(A), grace=GRACE)
        await gone(pids)


async def test_3_stop_finds_the_tree_of_a_killed_launcher(rig: Rig, home: Path) -> None:
    async with rig.driver_on(home, "family") as driver:
        await driver.ensure(spec_of(), report=silent)
        pid = (await seen_by_fake(home))["pid"]
        pids = await eventually(lambda: len(found := tree_of(pid)) >= 3 and found)
        os.kill(pid, signal.SIGKILL)
        await in_phase(driver, Phase.EXITED)
        await driver.stop(InstanceRef(A), grace=GRACE)
        await gone(pids)


async def test_3_stop_ends_what_is_frozen(rig: Rig, home: Path) -> None:
    async with rig.driver_on(home) as driver:
        await driver.ensure(spec_of(), report=silent)
        pid = (await seen_by_fake(home))["pid"]
        os.kill(pid, signal.SIGSTOP)
        await driver.stop(InstanceRef(A), grace=GRACE)
        await gone({pid})


async def test_3_stops_at_the_same_time_and_during_ensure(rig: Rig, home: Path) -> None:
    async with rig.driver_on(home, "slow") as driver:
        ensuring = asyncio.create_task(driver.ensure(spec_of(), report=silent))
        await asyncio.sleep(0)
        await asyncio.gather(*(driver.stop(InstanceRef(A), grace=GRACE) for _ in range(3)))
        await ensuring
        await driver.stop(InstanceRef(A), grace=GRACE)
        assert (await driver.observe(InstanceRef(A))).phase is Phase.ABSENT
        await eventually(lambda: rig.launchers(home) == [])


async def test_3_stop_touches_no_neighbour(rig: Rig, home: Path) -> None:
    async with rig.driver_on(home) as driver:
        await driver.ensure(spec_of(A), report=silent)
        await driver.ensure(spec_of(B), report=silent)
        neighbour = (await seen_by_fake(home, B))["pid"]
        await driver.stop(InstanceRef(A), grace=GRACE)
        assert rig.launchers(home) == [neighbour]


async def test_4_data_goes_last(rig: Rig, home: Path) -> None:
    """While it ends it may still write: nothing may be deleted under a living launcher."""
    async with rig.driver_on(home, "stubborn") as driver:
        await driver.ensure(spec_of(), report=silent)
        pid = (await seen_by_fake(home))["pid"]
        removing = asyncio.create_task(driver.remove(InstanceRef(A), keep_data=False))
        while not removing.done():
            lived = pid in rig.launchers(home)
            assert rig.data(home).exists() or not lived
            await asyncio.sleep(0.01)
        await removing
        assert not rig.data(home).exists()
        assert rig.launchers(home) == []


async def test_4_remove_keeps_or_deletes_the_data(rig: Rig, home: Path) -> None:
    async with rig.driver_on(home) as driver:
        await driver.ensure(spec_of(), report=silent)
        directory = rig.data(home)
        pid = (await seen_by_fake(home))["pid"]
        await driver.remove(InstanceRef(A), keep_data=True)
        await gone({pid})
        assert (directory / "seen.json").exists()
        await driver.remove(InstanceRef(A), keep_data=False)
        assert not directory.exists()
        await driver.remove(InstanceRef(A), keep_data=False)
        assert await driver.list() == []
