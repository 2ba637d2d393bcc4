"""Children: exact descriptors, the stop ladder, grandchildren."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from launcher.control import Control, Kept
from launcher.loglines import Splitter
from launcher.process import Exit, Process, SpawnFailed, spawn
from tests.support import eventually

ENV = {"PATH": "/usr/bin:/bin"}


def run(
    tmp_path: Path, script: str, fds: dict[int, int] | None = None, program: str = "/bin/sh"
) -> tuple[Process, bytearray]:
    said = bytearray()
    ends: list[int] = []
    process = spawn(
        [program, "-c", script],
        env=ENV,
        cwd=tmp_path,
        fds=fds,
        outputs={1: (said.extend, lambda: ends.append(1)), 2: (said.extend, lambda: ends.append(2))},
    )
    return process, said


def there(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().split()[2] != "Z"


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def inherited() -> set[int]:
    """What the test process itself was started with; the launcher marks its own at start."""
    return {fd for fd in range(6, 1024) if Path(f"/proc/self/fd/{fd}").exists() and os.get_inheritable(fd)}


async def ended(process: Process) -> Exit:
    async with asyncio.timeout(10):
        return await process.exited


async def test_descriptors_are_exact_and_nothing_else_is_inherited(tmp_path: Path) -> None:
    one, two = os.memfd_create("one"), os.memfd_create("two")
    os.write(one, b"one")
    os.write(two, b"two")
    os.set_inheritable(one, False)
    script = (
        "import json, os\n"
        "opened = sorted(int(n) for n in os.listdir('/proc/self/fd'))\n"
        "print(json.dumps([opened, os.pread(3, 9, 0).decode(), os.pread(4, 9, 0).decode(), os.getcwd(),"
        " os.getpid() == os.getsid(0), os.readlink('/proc/self/fd/0')]))"
    )
    here = os.getcwd()
    process, said = run(tmp_path, script, {3: two, 4: one}, sys.executable)
    assert await ended(process) == Exit(0, None)
    opened, third, fourth, cwd, leader, stdin = json.loads(said)
    assert set(opened) - inherited() <= {0, 1, 2, 3, 4, 5}, "5 is the listing of the directory itself"
    assert (third, fourth, stdin) == ("two", "one", "/dev/null")
    assert cwd == str(tmp_path) and os.getcwd() == here and leader
    os.close(one)
    os.close(two)


async def test_ignored_signals_are_not_inherited(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does to what it starts with `&`
    process, said = run(tmp_path, "grep SigIgn /proc/$$/status")
    signal.signal(signal.SIGINT, before)
    await ended(process)
    assert int(bytes(said).split()[1], 16) & 0x7FFFFFFF == 0, "32 and 33 are the C library's own"


@pytest.mark.parametrize(
    ("script", "end"),
    [("exit 3", Exit(3, None)), ("kill -9 $$", Exit(None, "SIGKILL")), ("true", Exit(0, None))],
)
async def test_how_it_ended(tmp_path: Path, script: str, end: Exit) -> None:
    process, _ = run(tmp_path, script)
    assert await ended(process) == end and not process.alive


async def test_terminates_kills_and_returns_only_when_gone(tmp_path: Path) -> None:
    process, said = run(tmp_path, "trap '' TERM; echo up; while :; do sleep 0.1; done")
    await eventually(lambda: b"up" in said)
    started = time.monotonic()
    end = await process.stop(0.3)
    assert end == Exit(None, "SIGKILL") and 0.3 <= time.monotonic() - started < 5
    assert not there(process.pid)
    assert await process.stop(0.1) == end, "stopping twice is no error"


async def test_a_grandchild_that_holds_the_pipe_delays_nobody(tmp_path: Path) -> None:
    process, said = run(tmp_path, "setsid sleep 30 & echo $!; exec sleep 0.1")
    started = time.monotonic()
    assert (await ended(process)).code == 0
    assert time.monotonic() - started < 5
    os.kill(int(said.split()[0]), signal.SIGKILL)


async def test_grandchildren_of_the_group_end_with_it(tmp_path: Path) -> None:
    process, said = run(tmp_path, "sleep 30 & echo $!; exec sleep 0.1")
    await ended(process)
    grandchild = int(said.split()[0])
    await eventually(lambda: not there(grandchild))


async def test_all_output_of_a_short_life_arrives(tmp_path: Path) -> None:
    process, said = run(tmp_path, "head -c 300000 /dev/zero | tr '\\0' x; echo end")
    await ended(process)
    assert len(said) == 300_004


@pytest.mark.parametrize("program", ["/no/such/node", "/etc/passwd"])
async def test_a_program_that_can_not_be_started_is_named(tmp_path: Path, program: str) -> None:
    before = open_descriptors()
    with pytest.raises(SpawnFailed, match=program):
        run(tmp_path, "", program=program)
    with pytest.raises(SpawnFailed):
        run(tmp_path / "missing", "true")
    assert open_descriptors() == before


async def test_neither_descriptors_nor_zombies_are_left(tmp_path: Path) -> None:
    before = open_descriptors()
    for number in range(10):
        control, lines = Control({}, Kept()), Splitter(lambda line: None)
        program = "/bin/true" if number % 2 else "/nothing/there"
        try:
            outputs = {1: (lines.feed, lines.flush)}
            process = spawn([program], env={}, cwd=tmp_path, fds={4: control.child_fd}, outputs=outputs)
            control.attach()
            await process.exited
        except SpawnFailed:
            pass
        control.close()
    assert open_descriptors() == before
    assert not [child for child in psutil.Process().children() if child.status() == psutil.STATUS_ZOMBIE]


async def test_without_descriptors_left_it_fails_as_a_start_does(tmp_path: Path) -> None:
    def nothing(*_: object) -> None:
        pass

    before = open_descriptors()
    fill = [os.open("/dev/null", os.O_RDONLY)]
    while fill[-1] < 100:  # no number below is free now
        fill.append(os.open("/dev/null", os.O_RDONLY))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (fill[-1] + 4, hard))
    try:
        with pytest.raises(SpawnFailed):
            spawn(["/bin/true"], env={}, cwd=tmp_path, outputs={1: (nothing, nothing), 2: (nothing, nothing)})
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in fill:
            os.close(fd)
    assert open_descriptors() == before
