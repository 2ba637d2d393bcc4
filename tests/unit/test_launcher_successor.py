"""When a successor is kept, and when there is no room for one: with `cat` in place of Node-RED."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from launcher import successor as module
from launcher.child import Child
from launcher.control import Kept
from launcher.loglines import Log
from launcher.memory import RESERVE_BYTES, Memory
from launcher.prepare import Launch, StartFailed
from launcher.segments import Segments
from launcher.successor import Successor
from tests.support import eventually

#: Says that it is warm as our preload script does, and waits for its turn on descriptor 4.
WARM = ["/bin/sh", "-c", 'echo \'{"event":"warm"}\' >&4; read line <&4; read line <&4']
SILENT = ["/bin/sh", "-c", "read line <&4; read line <&4; read line <&4"]
ENDS = ["/bin/sh", "-c", "exit 3"]


class Box(Memory):
    """A box with as much free memory as the test says."""

    free: int | None = 1 << 40

    def free_bytes(self) -> int | None:
        return self.free


class Bay:
    """A successor and the Node-RED it is to follow."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.memory = directory, Box()
        self.log = Log(Segments(directory / "logs"), "0000")
        self.made: list[Child] = []
        self.successor = Successor(self.start, self.log, self.memory)
        self.serving = self.child(self.launch(SILENT))

    def launch(self, argv: list[str] = WARM, **env: str) -> Launch:
        return Launch(
            argv, env, {}, os.open("/dev/null", os.O_RDONLY) if not self.made else self.made[0].launch.listener, ""
        )

    def start(self, launch: Launch) -> Child:
        return self.child(launch)

    def child(self, launch: Launch) -> Child:
        child = Child(launch, self.directory, self.log, Kept(), {}, standby=True)
        self.made.append(child)
        return child

    def said(self, text: str) -> int:
        return sum(text.encode() in line.body for line in self.log.recent())

    async def close(self) -> None:
        await self.successor.end()
        for child in self.made:
            await child.process.stop(0)
            child.close()
        os.close(self.made[0].launch.listener)
        self.log.close()


@pytest.fixture
async def bay(tmp_path: Path) -> AsyncIterator[Bay]:
    made = Bay(tmp_path)
    yield made
    await made.close()


async def test_one_that_fits_is_taken_once(bay: Bay) -> None:
    launch = bay.launch()
    assert await bay.successor.ready(launch, bay.serving)
    assert await bay.successor.ready(launch, bay.serving) and len(bay.made) == 2, "and not made twice"
    child = bay.successor.take(launch)
    assert child is bay.made[1] and bay.successor.take(launch) is None


async def test_one_for_other_settings_is_ended_and_replaced(bay: Bay) -> None:
    assert await bay.successor.ready(bay.launch(PLANT="one"), bay.serving)
    assert bay.successor.take(bay.launch(PLANT="two")) is None
    assert await bay.successor.ready(bay.launch(PLANT="two"), bay.serving)
    assert not bay.made[1].alive and bay.made[2].alive


@pytest.mark.parametrize(("free", "made"), [(0, 0), (RESERVE_BYTES - 1, 0), (1 << 40, 1), (None, 1)])
async def test_where_memory_is_short_there_is_none_and_the_log_says_so_once(
    bay: Bay, free: int | None, made: int
) -> None:
    bay.memory.free = free
    for _ in range(2):
        assert await bay.successor.ready(bay.launch(), bay.serving) is bool(made)
    assert len(bay.made) - 1 == made and bay.said("are free") == 1 - made


async def test_one_that_ends_or_does_not_load_is_done_without(bay: Bay, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not await bay.successor.ready(bay.launch(ENDS), bay.serving)
    monkeypatch.setattr(module, "WARM_S", 0.2)
    assert not await bay.successor.ready(bay.launch(SILENT), bay.serving)
    assert bay.said("restarting plainly") == 2
    assert not [child for child in bay.made[1:] if child.alive]


async def test_one_that_can_not_be_started_is_done_without(bay: Bay) -> None:
    assert not await bay.successor.ready(bay.launch(["/nothing/there"]), bay.serving)
    assert bay.said("restarting plainly") == 1
    with pytest.raises(StartFailed):
        bay.child(bay.launch(["/nothing/there"]))


async def test_when_the_one_that_serves_dies_nobody_waits_for_the_other_to_load(bay: Bay) -> None:
    launch = bay.launch(SILENT)
    waiting = asyncio.create_task(bay.successor.ready(launch, bay.serving))
    await eventually(lambda: len(bay.made) == 2)
    bay.successor.hurry()
    assert await asyncio.wait_for(waiting, 5)
    assert bay.successor.take(launch) is bay.made[1], "what it has loaded so far is a head start"


async def test_a_spare_is_made_again_when_it_dies_and_given_up_when_memory_is_short(
    bay: Bay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SPARE_AFTER_S", 0.01)
    monkeypatch.setattr(module, "SPARE_AGAIN_S", 0.05)
    bay.successor.keep(bay.launch(), bay.serving)
    await eventually(lambda: len(bay.made) == 2)
    await bay.made[1].process.stop(0)
    await eventually(lambda: len(bay.made) == 3 and bay.successor.pid)
    bay.memory.free = 0
    await eventually(lambda: not bay.made[2].alive)
    assert bay.said("hot spare is given up") == 1
    bay.memory.free = 1 << 40
    await eventually(lambda: len(bay.made) == 4)
    await bay.serving.process.stop(0)
    await bay.successor.end()
    assert not any(child.alive for child in bay.made)


async def test_a_spare_that_fits_no_start_any_more_is_replaced(bay: Bay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SPARE_AFTER_S", 0.01)
    assert await bay.successor.ready(bay.launch(PLANT="one"), bay.serving)
    bay.successor.keep(bay.launch(PLANT="two"), bay.serving)
    await eventually(lambda: not bay.made[1].alive and bay.successor.take(bay.launch(PLANT="two")))


async def test_one_that_nobody_took_is_dropped_without_a_wait(bay: Bay) -> None:
    assert await bay.successor.ready(bay.launch(), bay.serving)
    bay.successor.drop()
    assert bay.successor.pid is None and bay.successor.take(bay.launch()) is None
    await eventually(lambda: not bay.made[1].alive)
    bay.successor.drop()


def memory_of(tmp_path: Path, **files: Any) -> Memory:
    for name, content in files.items():
        path = tmp_path / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return Memory(tmp_path / "proc", tmp_path / "cg")


def test_room_is_the_least_of_the_box_and_every_cgroup_around(tmp_path: Path) -> None:
    files = {
        "proc__meminfo": "MemTotal: 9 kB\nMemAvailable: 1000 kB\n",
        "proc__self__cgroup": "0::/slice/unit\n",
        "cg__slice__unit__memory_DOT_max": "max\n",
        "cg__slice__unit__memory_DOT_current": "5\n",
        "cg__slice__memory_DOT_max": "400000\n",
        "cg__slice__memory_DOT_current": "300000\n",
        "cg__slice__memory_DOT_stat": "anon 1\ninactive_file 50000\n",
        "cg__slice__unit__memory_DOT_events": "oom 3\noom_kill 2\n",
        "proc__vmstat": "nr_free 1\noom_kill 7\n",
    }
    memory = memory_of(tmp_path, **files)
    assert memory.free_bytes() == 150_000
    assert (memory.kills().ours, memory.kills().box) == (2, 7)


def test_version_1_of_cgroups_and_files_that_are_missing(tmp_path: Path) -> None:
    files = {
        "proc__self__cgroup": "4:memory:/box\n0::/\n",
        "cg__memory__box__memory_DOT_limit_in_bytes": "9000\n",
        "cg__memory__box__memory_DOT_usage_in_bytes": "4000\n",
        "cg__memory__box__memory_DOT_oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
        "cg__memory__memory_DOT_limit_in_bytes": str((1 << 63) - 4096),
    }
    memory = memory_of(tmp_path, **files)
    assert memory.free_bytes() == 5000 and (memory.kills().ours, memory.kills().box) == (1, None)
    assert Memory(tmp_path / "x", tmp_path / "y").free_bytes() is None


def test_the_real_box_has_memory() -> None:
    memory = Memory()
    assert (memory.free_bytes() or 0) > 1 << 20 and memory.resident_bytes(os.getpid()) > 1 << 20
    assert memory.resident_bytes(0) == 0
