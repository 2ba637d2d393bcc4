"""Programs that outlive the appliance: started, noted, found again; and nothing left of one that could not be noted."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import psutil
import pytest

from appliance.system.daemon import OwnDaemon
from appliance.system.pidfd import Process

SHELL = ("sh", "-c", 'echo said; sleep 60 & wait "$!"')


class Sleeper(OwnDaemon):
    """A shell and its child."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / "run" / "sleeper.json")
        self._directory = directory

    def adopt(self) -> bool:
        process = self._found()
        if process is not None:
            self._hold(process)
        return process is not None

    async def start(self) -> None:
        process = self.spawned()
        assert process is not None
        self._hold(process)

    async def stop(self, grace_s: float = 3.0) -> None:
        await self._end([], grace_s)

    async def end_stuck(self) -> None:
        await self.stop()

    def spawned(self, *command: str) -> Process | None:
        return self._spawn(command or SHELL, cwd=self._directory, output=subprocess.DEVNULL)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


async def test_the_next_appliance_finds_what_this_one_started(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    first, second = Sleeper(tmp_path), Sleeper(tmp_path)
    assert not second.adopt() and second.pid is None
    await first.start()
    pid = first.pid
    assert pid is not None and os.getsid(pid) == pid
    first.forget()
    assert first.pid is None and second.adopt() and second.pid == pid
    os.killpg(pid, 9)
    await second.exited()
    assert second.pid is None and not Sleeper(tmp_path).adopt()
    await second.stop()
    assert pid not in [child.pid for child in children()], "it was reaped"


async def test_nothing_is_left_of_one_that_could_not_be_noted(tmp_path: Path) -> None:
    """Its directory is missing, as on a full disk: neither process nor descriptor stays behind."""
    daemon, before, others = Sleeper(tmp_path), descriptors(), set(children())
    with pytest.raises(FileNotFoundError):
        daemon.spawned()
    assert descriptors() == before
    assert set(children()) == others


async def test_a_note_of_another_boot_is_nobodys(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    daemon = Sleeper(tmp_path)
    await daemon.start()
    pid = daemon.pid
    assert pid is not None
    note = tmp_path / "run" / "sleeper.json"
    note.write_bytes(note.read_bytes().replace(b'"boot_id":"', b'"boot_id":"0'))
    assert not Sleeper(tmp_path).adopt()
    os.killpg(pid, 9)
    await daemon.exited()
    daemon.forget()
