"""The driver contract (`appliance.drivers.base.Driver`), clause by clause, against the `child` placer."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from appliance.drivers.base import Driver, PlacementFailed, SpecInvalid
from appliance.drivers.child import Child, Command
from appliance.drivers.localfs import LocalFs
from appliance.errors import Unavailable
from appliance.model import Desired, InstanceRef, InstanceSpec, Observation, Phase, StackRef
from tests.support import eventually

FAKE = Path(__file__).with_name("fake_launcher.py")
GRACE = timedelta(seconds=0.3)
SECRET = "one-use-ticket-of-this-test"  # noqa: S105
A = "0b0e7f0a-0000-4000-8000-00000000000a"


def spec_of(instance_id: str = A, *, generation: int = 1, stack: bool = True) -> InstanceSpec:
    return InstanceSpec(
        id=instance_id,
        name="a",
        team_id="t",
        desired=Desired.RUNNING,
        generation=generation,
        command_generation=1,
        number=0,
        node_red_port=1,
        launcher_port=2,
        public_port=3,
        stack=StackRef("s", "/bin/node", "/stack") if stack else None,
        stack_name="s",
    )


async def minted(_: InstanceSpec) -> str:
    return SECRET


def silent(step: str, fraction: float) -> None:
    """A report that nobody reads."""


@asynccontextmanager
async def driver_on(
    home: Path, behaviour: str = "good", mint: Callable[[InstanceSpec], Any] = minted
) -> AsyncIterator[LocalFs]:
    """A driver with an empty memory on this directory. Launchers stay when it is closed, as they should."""
    instances = home / "instances"
    executor = ThreadPoolExecutor(4)
    command = Command((sys.executable, "-I", str(FAKE), behaviour), {"PATH": "/usr/bin:/bin"}, "http://127.0.0.1:1")
    driver = LocalFs(instances, Child(instances, command, mint, executor), executor, replace_grace=GRACE)
    await driver.open()
    try:
        yield driver
    finally:
        await driver.close()
        executor.shutdown()


@pytest.fixture
async def swept(home: Path) -> AsyncIterator[None]:
    """Whatever a test places is stopped after it."""
    yield
    async with driver_on(home) as driver:
        for seen in await driver.list():
            await driver.stop(InstanceRef(seen.id), grace=GRACE)


pytestmark = pytest.mark.usefixtures("swept")


async def seen_by_fake(home: Path, instance_id: str = A) -> dict[str, Any]:
    file = home / "instances" / instance_id / "seen.json"
    text = await eventually(lambda: file.exists() and file.read_text(), what="the fake launcher ran")
    return dict(json.loads(text))


def tree_of(pid: int) -> set[int]:
    return {pid, *(p.pid for p in psutil.Process(pid).children(recursive=True))}


async def gone(pids: set[int]) -> None:
    def none_left() -> bool:
        return not [p for p in pids if psutil.pid_exists(p) and psutil.Process(p).status() != psutil.STATUS_ZOMBIE]

    await eventually(none_left, 3)


async def test_1_same_spec_changes_nothing(home: Path) -> None:
    async with driver_on(home) as driver:
        first = await driver.ensure(spec_of(), report=silent)
        assert first == await driver.ensure(spec_of(), report=silent)
        assert len(await driver.list()) == 1


async def test_1_new_generation_replaces(home: Path) -> None:
    async with driver_on(home) as driver:
        await driver.ensure(spec_of(), report=silent)
        old = (await seen_by_fake(home))["pid"]
        await driver.ensure(spec_of(generation=2), report=silent)
        seen = await driver.observe(InstanceRef(A))
        assert (seen.phase, seen.generation) == (Phase.UP, 2)
        assert seen.pid != old
        await gone({old})


async def test_1_at_the_same_time_only_one_launcher(home: Path) -> None:
    async with driver_on(home) as driver:
        placements = await asyncio.gather(*(driver.ensure(spec_of(), report=silent) for _ in range(5)))
        assert len({str(p.handle) for p in placements}) == 1
        own = [c for c in psutil.Process().children() if str(FAKE) in c.cmdline()]
        assert len(own) == 1


async def test_1_may_be_retried_after_an_error(home: Path) -> None:
    answers = iter([Unavailable("the store is away"), None])

    async def failing(_: InstanceSpec) -> str:
        if (error := next(answers)) is not None:
            raise error
        return SECRET

    async with driver_on(home, mint=failing) as driver:
        with pytest.raises(Exception, match="the store is away"):
            await driver.ensure(spec_of(), report=silent)
        assert (await driver.observe(InstanceRef(A))).phase is Phase.EXITED
        await driver.ensure(spec_of(), report=silent)
        assert (await driver.observe(InstanceRef(A))).phase is Phase.UP


async def test_2_cancelled_ensure_leaves_the_truth(home: Path) -> None:
    asked, may_go = asyncio.Event(), asyncio.Event()

    async def slow(_: InstanceSpec) -> str:
        asked.set()
        await may_go.wait()
        return SECRET

    async with driver_on(home, mint=slow) as driver:
        ensuring = asyncio.create_task(driver.ensure(spec_of(), report=silent))
        await asked.wait()
        ensuring.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ensuring
        assert (await driver.observe(InstanceRef(A))).phase is Phase.CREATING
        record = json.loads((home / "instances" / A / "launcher" / "placement.json").read_text())
        assert (record["id"], record["generation"], record["identity"]) == (A, 1, None)
        may_go.set()
        await eventually(lambda: up(driver))
        assert (await driver.ensure(spec_of(), report=silent)).generation == 1


async def up(driver: Driver) -> Observation | None:
    seen = await driver.observe(InstanceRef(A))
    return seen if seen.phase is Phase.UP else None


async def test_2_killed_between_spawn_and_record(home: Path) -> None:
    async with driver_on(home) as driver:
        await driver.ensure(spec_of(generation=4), report=silent)
        pid = (await seen_by_fake(home))["pid"]
    record = home / "instances" / A / "launcher" / "placement.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "identity": None}))
    async with driver_on(home) as driver:
        seen = await driver.observe(InstanceRef(A))
        assert (seen.phase, seen.pid, seen.generation) == (Phase.UP, pid, 4)


async def test_2_damaged_record_is_no_second_launcher(home: Path) -> None:
    async with driver_on(home) as driver:
        await driver.ensure(spec_of(), report=silent)
        pid = (await seen_by_fake(home))["pid"]
        (home / "instances" / A / "launcher" / "placement.json").write_text("{")
        assert (await driver.ensure(spec_of(), report=silent)).handle["identity"]["pid"] == pid


async def test_3_stop_is_idempotent_and_waits(home: Path) -> None:
    async with driver_on(home) as driver:
        await driver.ensure(spec_of(), report=silent)
        pid = (await seen_by_fake(home))["pid"]
        await driver.stop(InstanceRef(A), grace=GRACE)
        await gone({pid})
        assert (await driver.observe(InstanceRef(A))).phase is Phase.ABSENT
        await driver.stop(InstanceRef(A), grace=GRACE)
        await driver.stop(InstanceRef("never-seen"), grace=GRACE)


@pytest.mark.parametrize("behaviour", ["stubborn", "family"])
async def test_3_stop_ends_the_whole_tree(home: Path, behaviour: str) -> None:
    async with driver_on(home, behaviour) as driver:
        await driver.ensure(spec_of(), report=silent)
        pid = (await seen_by_fake(home))["pid"]
        members = 4 if behaviour == "family" else 1
        pids = await eventually(lambda: len(found := tree_of(pid)) >= min(members, 3) and found)
        await driver.stop(InstanceRef(A), grace=GRACE)
        await gone(pids)


async def test_3_stop_finds_the_tree_of_a_killed_launcher(home: Path) -> None:
    async with driver_on(home, "family") as driver:
        await driver.ensure(spec_of(), report=silent)
        pid = (await seen_by_fake(home))["pid"]
        pids = await eventually(lambda: len(found := tree_of(pid)) >= 3 and found)
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda: exited(driver))
        await driver.stop(InstanceRef(A), grace=GRACE)
        await gone(pids)


async def exited(driver: Driver) -> Observation | None:
    seen = await driver.observe(InstanceRef(A))
    return seen if seen.phase is Phase.EXITED else None


async def test_3_never_a_stranger(home: Path) -> None:
    """A record whose pid belongs to somebody else by now."""
    stranger = await asyncio.create_subprocess_exec("sleep", "600")
    try:
        async with driver_on(home) as driver:
            await driver.ensure(spec_of(), report=silent)
            pid = (await seen_by_fake(home))["pid"]
            record = home / "instances" / A / "launcher" / "placement.json"
            document = json.loads(record.read_text())
            document["identity"]["pid"] = stranger.pid
            record.write_text(json.dumps(document))
            await driver.stop(InstanceRef(A), grace=GRACE)
            await gone({pid})  # found by its label all the same
            assert stranger.returncode is None
            assert psutil.Process(stranger.pid).status() != psutil.STATUS_ZOMBIE
    finally:
        stranger.kill()
        await stranger.wait()


async def test_4_remove_keeps_or_deletes_the_data(home: Path) -> None:
    async with driver_on(home) as driver:
        await driver.ensure(spec_of(), report=silent)
        directory = home / "instances" / A
        pid = (await seen_by_fake(home))["pid"]
        await driver.remove(InstanceRef(A), keep_data=True)
        await gone({pid})
        assert (directory / "seen.json").exists()
        await driver.remove(InstanceRef(A), keep_data=False)
        assert not directory.exists()
        await driver.remove(InstanceRef(A), keep_data=False)
        assert await driver.list() == []


async def test_5_observe_knows_no_unknown(home: Path) -> None:
    async with driver_on(home) as driver:
        assert await driver.observe(InstanceRef("nobody")) == Observation(id="nobody", phase=Phase.ABSENT)


async def test_5_right_after_a_restart_with_empty_memory(home: Path) -> None:
    async with driver_on(home) as driver:
        await driver.ensure(spec_of(generation=3), report=silent)
        before = await driver.observe(InstanceRef(A))
    async with driver_on(home) as driver:
        assert await driver.observe(InstanceRef(A)) == before
        assert before.pid is not None
        os.kill(before.pid, signal.SIGKILL)
        seen = await eventually(lambda: exited(driver))
        assert seen.generation == 3


async def test_5_exit_code_of_a_child(home: Path) -> None:
    async with driver_on(home, "exits") as driver:
        await driver.ensure(spec_of(), report=silent)
        seen = await eventually(lambda: exited_with_code(driver))
        assert seen.exit_code == 7
        assert "exit code 7" in seen.message


async def exited_with_code(driver: Driver) -> Observation | None:
    seen = await exited(driver)
    return seen if seen and seen.exit_code is not None else None


async def test_5_another_boot_is_another_machine(home: Path) -> None:
    """Start times repeat after a boot: the same pid and start time prove nothing then."""
    async with driver_on(home) as driver:
        await driver.ensure(spec_of(), report=silent)
        pid = (await seen_by_fake(home))["pid"]
        record = home / "instances" / A / "launcher" / "placement.json"
        document = json.loads(record.read_text())
        original = record.read_text()
        document["identity"]["boot_id"] = "another-boot"
        record.write_text(json.dumps(document))
        assert (await driver.observe(InstanceRef(A))).phase is Phase.EXITED
        record.write_text(original)
        assert psutil.pid_exists(pid)


async def test_6_list_has_what_nobody_wants(home: Path) -> None:
    async with driver_on(home) as driver:
        await driver.ensure(spec_of("orphan-1"), report=silent)
        await driver.ensure(spec_of("orphan-2"), report=silent)
    async with driver_on(home) as driver:
        assert [o.id for o in await driver.list()] == ["orphan-1", "orphan-2"]
        assert {o.phase for o in await driver.list()} == {Phase.UP}


async def test_7_watch_lists_then_tells(home: Path) -> None:
    async with driver_on(home) as driver:
        await driver.ensure(spec_of(), report=silent)
        pid = (await seen_by_fake(home))["pid"]
        async with asyncio.timeout(5), aclosing(driver.watch()) as observations:  # type: ignore[type-var]
            assert (await anext(observations)).phase is Phase.UP
            os.kill(pid, signal.SIGKILL)
            while (await anext(observations)).phase is not Phase.EXITED:
                pass


async def test_8_no_secret_in_handle_argv_environment_or_files(home: Path) -> None:
    async with driver_on(home) as driver:
        placement = await driver.ensure(spec_of(), report=silent)
        seen = await seen_by_fake(home)
        assert seen["ticket"] == SECRET  # it came through the pipe
        assert SECRET not in json.dumps([seen["argv"], seen["env"], placement.handle])
        kept = (home / "instances" / A / "launcher").iterdir()
        assert all(SECRET not in file.read_text() for file in kept)
        assert set(seen["env"]) - {"LC_CTYPE"} == {"PATH", "HOME"}
        assert seen["cwd"] == str(home / "instances" / A)
        assert os.getsid(seen["pid"]) == seen["pid"]


async def test_9_errors_of_the_contract_and_no_others(home: Path) -> None:
    async with driver_on(home) as driver:
        with pytest.raises(PlacementFailed) as missing:
            await driver.ensure(spec_of(stack=False), report=silent)
        assert missing.value.reason == "stack_missing"
        with pytest.raises(SpecInvalid):
            await driver.ensure(spec_of("../escape"), report=silent)
        (home / "instances" / A).write_text("in the way")
        with pytest.raises(PlacementFailed) as blocked:
            await driver.ensure(spec_of(), report=silent)
        assert blocked.value.reason == "directory"
        (home / "instances" / A).unlink()


async def test_11_report_is_told_the_steps(home: Path) -> None:
    steps: list[tuple[str, float]] = []
    async with driver_on(home) as driver:
        await driver.ensure(spec_of(), report=lambda step, fraction: steps.append((step, fraction)))
    assert steps[-1][1] == 1.0
    assert [f for _, f in steps] == sorted(f for _, f in steps)
