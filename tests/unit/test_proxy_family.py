"""Whose processes are looked for, and what it means when one can't be looked at."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from appliance.proxy import family
from tests.descriptors import left
from tests.support import eventually


def test_what_can_not_be_looked_at_is_not_gone() -> None:
    """Taken for gone, the workers of a killed nginx would keep its ports while another one is started."""
    with left(0):
        for look in (lambda: family.command_line(os.getpid()), lambda: family.account(os.getpid())):
            with pytest.raises(OSError, match="Too many open files"):
                look()
        with pytest.raises(OSError, match="Too many open files"):
            family.members(os.getsid(0), [os.getpid()])
        with pytest.raises(OSError, match="Too many open files"):
            family.stopped(os.getpid())
    assert family.account(os.getpid()) == os.getuid()


def test_what_has_ended_is_gone() -> None:
    ended = subprocess.Popen(["/bin/true"])
    ended.wait()
    assert (family.command_line(ended.pid), family.account(ended.pid)) == ("", None)
    assert family.members(ended.pid, [ended.pid]) == []


async def test_those_found_are_let_go_where_another_can_not_be_looked_at(tmp_path: Path) -> None:
    """A descriptor is held for each: a look that fails again and again must not take the last ones."""
    script = tmp_path / "nginx"
    script.write_text("sleep 30")
    worker = await asyncio.create_subprocess_exec(
        "nginx: worker", str(script), executable="/bin/sh", start_new_session=True
    )
    try:
        found = await eventually(lambda: family.members(worker.pid, [worker.pid]))
        assert [process.identity.pid for process in found] == [worker.pid]
        for process in found:
            process.close()
        before = len(os.listdir("/proc/self/fd"))
        for count in range(1, 4):
            with left(count), pytest.raises(OSError, match="Too many open files"):
                family.members(worker.pid, [worker.pid] * 4)
        assert len(os.listdir("/proc/self/fd")) == before
    finally:
        worker.kill()
        await worker.wait()
