"""Where no file descriptors are left (EMFILE, ENFILE) a start fails like any other, and the launcher goes on."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from launcher import health, orphan, strays
from launcher.child import Child
from launcher.control import Kept
from launcher.loglines import Log
from launcher.prepare import Launch, StartFailed
from launcher.segments import Segments
from tests.descriptors import left
from tests.integration.test_launcher_node_red import page
from tests.launcher_rig import Rig, rig
from tests.support import built_stack, eventually

SLEEPS = Launch(["/bin/sleep", "30"], {}, {}, 0, "")


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path, built_stack()) as made:
        yield made


async def test_a_start_without_descriptors_fails_as_a_start_does_wherever_they_run_out(tmp_path: Path) -> None:
    log = Log(Segments(tmp_path / "logs"), "ab12")
    before, failed = len(os.listdir("/proc/self/fd")), 0
    for count in range(20):
        try:
            with left(count):
                child = Child(SLEEPS, tmp_path, log, Kept(), {}, standby=False)
        except StartFailed as error:
            assert error.reason == "spawn_failed" and "ulimit -n" in str(error)
            failed += 1
        else:
            await child.process.stop(0)
            child.close()
        assert len(os.listdir("/proc/self/fd")) == before, f"{count} left"
        assert not psutil.Process().children(), "a child that can't be watched must not live"
    assert 3 < failed < 20, "some starts found too few, the last ones enough"
    log.close()


async def test_looking_for_strays_without_descriptors_is_no_fault() -> None:
    said: list[str] = []
    with left(0):
        strays.reap()
        assert not await strays.end(said.append), "that it can't see any is not that there are none"
    assert "ulimit -n" in said[0]


async def test_an_orphan_that_can_not_be_looked_for_is_not_taken_for_gone(tmp_path: Path) -> None:
    sleeper = await asyncio.create_subprocess_exec("/bin/sleep", "30", start_new_session=True)
    note = tmp_path / "node_red.json"
    orphan.note(note, sleeper.pid)
    for count in (0, 1):  # not the note, then not the process
        with left(count), pytest.raises(OSError, match="Too many open files"):
            await orphan.end(note, tmp_path)
    assert sleeper.returncode is None
    assert await orphan.end(note, tmp_path) == sleeper.pid
    await sleeper.wait()


@pytest.mark.real
async def test_a_launcher_that_is_out_of_descriptors_says_so_and_goes_on(box: Rig) -> None:
    box.appliance.flows = page("/here")
    await box.start()
    first = await box.until("running")
    whole = resource.prlimit(box.pid, resource.RLIMIT_NOFILE)
    # None at all: not even the settings can be read again. None beyond those of now: a few come free with what ends.
    for few, attempts in ((4, 1), (0, 2)):
        highest = max(int(name) for name in os.listdir(f"/proc/{box.pid}/fd"))
        said = box.out().count("could not be started")
        resource.prlimit(box.pid, resource.RLIMIT_NOFILE, (few or highest + 1, whole[1]))
        os.kill(first["nodeRedPid"], signal.SIGKILL)
        # It has no descriptor for its API either: what it does is read in its output.
        await eventually(lambda most=said + attempts: box.out().count("could not be started") >= most, 20)
        assert box.process is not None and box.process.returncode is None, box.out()[-2000:]
        resource.prlimit(box.pid, resource.RLIMIT_NOFILE, whole)
        first = await box.until("running", timeout_s=60)
    failed = await eventually(lambda: box.appliance.seen("start-failed"))
    assert "descriptors" in failed[0]["error"]["error"] and "ulimit -n" in failed[0]["error"]["error"]
    assert [p for p in psutil.Process(box.pid).children() if p.pid != first["nodeRedPid"]] == []


async def test_a_node_red_that_nobody_could_ask_is_not_taken_for_hung() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with left(0):
            assert await health.answers(url, 5)
        assert not await health.answers(url, 0.05), "it could be asked, and was silent"
