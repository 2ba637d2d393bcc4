"""The driver contract, clauses 5 to 11: observing, watching, identity, errors, and who waits for whom."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import aclosing
from pathlib import Path

import pytest

from appliance.drivers.base import Driver, DriverUnavailable, PlacementFailed, SpecInvalid
from appliance.model import InstanceRef, InstanceSpec, Observation, Phase
from tests.blocking import Blocked
from tests.contract.rig import GRACE, SECRET, A, B, Rig, driver_on, in_phase, seen_by_fake, silent, spec_of
from tests.support import eventually


async def test_5_observe_knows_no_unknown(rig: Rig, home: Path) -> None:
    async with rig.driver_on(home) as driver:
        for nobody in ("nobody", B):
            assert await driver.observe(InstanceRef(nobody)) == Observation(id=nobody, phase=Phase.ABSENT)


async def test_5_right_after_a_restart_with_empty_memory(rig: Rig, home: Path) -> None:
    async with rig.driver_on(home) as driver:
        await driver.ensure(spec_of(generation=3), report=silent)
        before = await driver.observe(InstanceRef(A))
    async with rig.driver_on(home) as driver:
        assert await driver.observe(InstanceRef(A)) == before
        assert before.pid is not None
        os.kill(before.pid, signal.SIGKILL)
        seen = await in_phase(driver, Phase.EXITED)
        assert seen.generation == 3


async def test_5_exit_code_of_a_child(rig: Rig, home: Path) -> None:
    async with rig.driver_on(home, "exits") as driver:
        await driver.ensure(spec_of(), report=silent)
        await in_phase(driver, Phase.EXITED)
        seen = await eventually(lambda: with_code(driver))
        assert seen.exit_code == 7
        assert "exit code 7" in seen.message


async def with_code(driver: Driver) -> Observation | None:
    seen = await driver.observe(InstanceRef(A))
    return seen if seen.exit_code is not None else None


async def test_5_while_ensure_runs_and_stop(rig: Rig, home: Path) -> None:
    asked, may_go = asyncio.Event(), asyncio.Event()

    async def slow(_: InstanceSpec) -> str:
        asked.set()
        await may_go.wait()
        return SECRET

    async with rig.driver_on(home, "stubborn", slow) as driver:
        ensuring = asyncio.create_task(driver.ensure(spec_of(), report=silent))
        await asked.wait()
        assert (await driver.observe(InstanceRef(A))).phase is Phase.CREATING
        assert [o.phase for o in await driver.list()] == [Phase.CREATING]
        may_go.set()
        await ensuring
        await seen_by_fake(home)
        stopping = asyncio.create_task(driver.stop(InstanceRef(A), grace=GRACE))
        await in_phase(driver, Phase.STOPPING)
        await stopping
        assert (await driver.observe(InstanceRef(A))).phase is Phase.ABSENT


async def test_5_has_no_side_effect_and_is_cheap(rig: Rig, home: Path) -> None:
    async with rig.driver_on(home) as driver:
        await driver.ensure(spec_of(), report=silent)
        await seen_by_fake(home)
        before = {path: path.stat().st_mtime_ns for path in rig.data(home).rglob("*")}
        async with asyncio.timeout(10):
            observations = [await driver.observe(InstanceRef(name)) for name in (A, B) * 200]
        assert len(set(map(repr, observations))) == 2
        assert {path: path.stat().st_mtime_ns for path in rig.data(home).rglob("*")} == before
        assert not rig.data(home, B).exists()


async def test_5_frozen_is_not_ended(rig: Rig, home: Path) -> None:
    """It lives: whether it answers is for others to find out."""
    async with rig.driver_on(home) as driver:
        await driver.ensure(spec_of(), report=silent)
        pid = (await seen_by_fake(home))["pid"]
        os.kill(pid, signal.SIGSTOP)
        assert (await driver.observe(InstanceRef(A))).phase is Phase.UP
        os.kill(pid, signal.SIGCONT)


async def test_6_list_has_what_nobody_wants(rig: Rig, home: Path) -> None:
    async with rig.driver_on(home) as driver:
        await driver.ensure(spec_of(A), report=silent)
        await driver.ensure(spec_of(B), report=silent)
    async with rig.driver_on(home) as driver:
        assert [o.id for o in await driver.list()] == [A, B]
        assert {o.phase for o in await driver.list()} == {Phase.UP}


async def test_7_watch_lists_then_tells(rig: Rig, home: Path) -> None:
    async with rig.driver_on(home) as driver:
        await driver.ensure(spec_of(), report=silent)
        pid = (await seen_by_fake(home))["pid"]
        async with asyncio.timeout(5), aclosing(driver.watch()) as observations:  # type: ignore[type-var]
            assert (await anext(observations)).phase is Phase.UP
            os.kill(pid, signal.SIGKILL)
            while (await anext(observations)).phase is not Phase.EXITED:
                pass


async def test_7_watch_lists_again_for_who_comes_later(rig: Rig, home: Path) -> None:
    """Also of launchers that were there before this driver was: they are nobody's children any more."""
    async with rig.driver_on(home) as driver:
        await driver.ensure(spec_of(), report=silent)
    async with (
        asyncio.timeout(10),
        rig.driver_on(home) as driver,
        aclosing(driver.watch()) as first,  # type: ignore[type-var]
        aclosing(driver.watch()) as second,  # type: ignore[type-var]
    ):
        up = await anext(first)
        assert up == await anext(second)
        assert up.phase is Phase.UP
        rig.kill(up)
        for observations in (first, second):
            while (await anext(observations)).phase is not Phase.EXITED:
                pass


async def test_7_the_end_of_a_launcher_is_noticed_at_once(rig: Rig, home: Path) -> None:
    async with rig.driver_on(home) as driver, asyncio.timeout(20):
        await driver.ensure(spec_of(), report=silent)
        await seen_by_fake(home)
        async with aclosing(driver.watch()) as observations:  # type: ignore[type-var]
            up = await anext(observations)
            loop = asyncio.get_running_loop()
            rig.kill(up)
            began = loop.time()
            while (await anext(observations)).phase is not Phase.EXITED:
                pass
            assert loop.time() - began < 2  # nobody polls; the machine may be busy


async def test_7_a_slow_consumer_holds_up_nobody(rig: Rig, home: Path) -> None:
    async with (
        asyncio.timeout(20),
        rig.driver_on(home) as driver,
        aclosing(driver.watch()) as observations,  # type: ignore[type-var]
    ):
        asleep = asyncio.ensure_future(anext(observations))
        for generation in range(1, 4):
            await driver.ensure(spec_of(generation=generation), report=silent)
        assert (await asleep).id == A
        latest = await in_phase(driver, Phase.UP)
        while await anext(observations) != latest:
            pass


async def test_8_the_handle_is_plain_json(rig: Rig, home: Path) -> None:
    async with rig.driver_on(home) as driver:
        placement = await driver.ensure(spec_of(), report=silent)
        assert json.loads(json.dumps(placement.handle)) == placement.handle
        assert placement.handle == (await driver.observe(InstanceRef(A))).handle


async def test_8_no_secret_in_handle_argv_environment_or_files(rig: Rig, home: Path) -> None:
    async with rig.driver_on(home) as driver:
        placement = await driver.ensure(spec_of(), report=silent)
        seen = await seen_by_fake(home)
        assert seen["ticket"] == SECRET  # it came through the pipe
        assert SECRET not in json.dumps([seen["argv"], seen["env"], placement.handle])
        kept = [file for file in (rig.record(home), *rig.data(home).rglob("*")) if file.name != "seen.json"]
        assert all(SECRET not in file.read_text() for file in kept if file.is_file())
        assert set(seen["env"]) - {"LC_CTYPE"} == {"PATH", "HOME"}
        assert seen["cwd"] == str(rig.data(home).resolve())
        assert os.getsid(seen["pid"]) == seen["pid"]


async def test_9_errors_of_the_contract_and_no_others(rig: Rig, home: Path) -> None:
    async with rig.driver_on(home) as driver:
        with pytest.raises(PlacementFailed) as missing:
            await driver.ensure(spec_of(stack=False), report=silent)
        assert missing.value.reason == "stack_missing"
        with pytest.raises(SpecInvalid):
            await driver.ensure(spec_of("../escape"), report=silent)


async def test_9_a_place_where_nothing_can_be_written(home: Path) -> None:
    async with driver_on(home) as driver:
        (home / "instances" / A).write_text("in the way")
        with pytest.raises(PlacementFailed) as blocked:
            await driver.ensure(spec_of(), report=silent)
        assert blocked.value.reason == "directory"
        (home / "instances" / A).unlink()


async def test_9_a_ticket_that_never_comes_is_an_error_of_the_contract(
    rig: Rig, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for placer in ("child", "units"):
        monkeypatch.setattr(f"appliance.drivers.{placer}.MINT_TIMEOUT_S", 0.2)

    async def never(_: InstanceSpec) -> str:
        await asyncio.sleep(60)
        return SECRET

    async with rig.driver_on(home, mint=never) as driver:
        with pytest.raises(DriverUnavailable) as away:
            await driver.ensure(spec_of(), report=silent)
        assert isinstance(away.value.__cause__, TimeoutError)
        assert rig.launchers(home) == []


@pytest.mark.parametrize("behaviour", ["good", "floods", "stubborn", "family"])
async def test_10_the_event_loop_never_blocks(rig: Rig, home: Path, behaviour: str, never_blocking: Blocked) -> None:
    async with rig.driver_on(home, behaviour) as driver:
        await driver.ensure(spec_of(), report=silent)
        await driver.ensure(spec_of(generation=2), report=silent)
        await driver.observe(InstanceRef(A))
        await driver.list()
        await driver.remove(InstanceRef(A), keep_data=False)
    assert never_blocking.calls == []


async def test_10_one_that_hangs_does_not_hold_up_the_others(rig: Rig, home: Path) -> None:
    asked, hanging = asyncio.Event(), asyncio.Event()

    async def hang(spec: InstanceSpec) -> str:
        if spec.id == A:
            asked.set()
            await hanging.wait()
        return SECRET

    async with rig.driver_on(home, mint=hang) as driver, asyncio.timeout(20):
        stuck = asyncio.create_task(driver.ensure(spec_of(A), report=silent))
        await asked.wait()
        await driver.ensure(spec_of(B), report=silent)
        assert (await driver.observe(InstanceRef(B))).phase is Phase.UP
        assert len(await driver.list()) == 2
        hanging.set()
        await stuck


async def test_11_report_is_told_the_steps(rig: Rig, home: Path) -> None:
    steps: list[tuple[str, float]] = []
    async with rig.driver_on(home) as driver:
        await driver.ensure(spec_of(), report=lambda step, fraction: steps.append((step, fraction)))
    assert steps[-1][1] == 1.0
    assert [f for _, f in steps] == sorted(f for _, f in steps)
