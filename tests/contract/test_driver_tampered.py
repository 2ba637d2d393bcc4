"""Flows of an instance can write in its directory: whatever they put there, the driver goes on (contract, clause 9)."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.drivers.base import PlacementFailed
from appliance.model import InstanceRef, Phase
from tests.contract.rig import GRACE, A, driver_on, gone, seen_by_fake, silent, spec_of


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    (path / "deep").mkdir(parents=True)


def _link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/hostname")


def _closed(path: Path) -> None:
    path.chmod(0)


def _no_process(path: Path) -> None:
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "identity": {**document["identity"], "pid": -1}}))


def _huge(path: Path) -> None:
    path.write_bytes(b" " * (1 << 20))


@pytest.mark.parametrize("tampered", [_pipe, _folder, _link, _closed, _no_process, _huge])
async def test_a_flow_that_tampers_with_the_record_stops_nobody(home: Path, tampered: Callable[[Path], None]) -> None:
    """Flows can write there. Nothing of it may hang the driver, keep the appliance from starting, or keep an
    operator from stopping, starting and deleting the instance."""
    async with asyncio.timeout(20), driver_on(home) as driver:
        await driver.ensure(spec_of(), report=silent)
        pid = (await seen_by_fake(home))["pid"]
        tampered(home / "instances" / A / "launcher" / "placement.json")
    async with asyncio.timeout(20), driver_on(home) as driver:
        seen = await driver.observe(InstanceRef(A))
        assert seen.phase in (Phase.UP, Phase.EXITED)
        await driver.stop(InstanceRef(A), grace=GRACE)
        await gone({pid})
        assert (await driver.observe(InstanceRef(A))).phase is Phase.ABSENT
        await driver.ensure(spec_of(generation=2), report=silent)
        assert (await driver.observe(InstanceRef(A))).generation == 2


async def test_a_process_that_calls_itself_a_launcher_is_none(home: Path) -> None:
    directory = home / "instances" / A
    async with driver_on(home) as driver:
        await driver.ensure(spec_of(), report=silent)
        await driver.stop(InstanceRef(A), grace=GRACE)
        (directory / "launcher" / "placement.json").write_text("{")
        pretender = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "input()", "--dir", str(directory), "--generation", "x", stdin=asyncio.subprocess.PIPE
        )
        assert (await driver.observe(InstanceRef(A))).phase is Phase.EXITED
        await driver.stop(InstanceRef(A), grace=GRACE)
        await pretender.wait()


async def test_a_pipe_in_place_of_the_output_blocks_nobody(home: Path) -> None:
    async with asyncio.timeout(20), driver_on(home) as driver:
        await driver.ensure(spec_of(), report=silent)
        await driver.stop(InstanceRef(A), grace=GRACE)
        _pipe(home / "instances" / A / "launcher" / "launcher.out")
        with pytest.raises(PlacementFailed):
            await driver.ensure(spec_of(), report=silent)
        await driver.ensure(spec_of("0b0e7f0a-0000-4000-8000-00000000000b"), report=silent)
        await driver.remove(InstanceRef(A), keep_data=False)
        assert not (home / "instances" / A).exists()


async def test_what_a_flow_closed_or_buried_is_deleted_too(home: Path) -> None:
    directory = home / "instances" / A
    async with driver_on(home) as driver:
        await driver.ensure(spec_of(), report=silent)
        await driver.stop(InstanceRef(A), grace=GRACE)
        closed = directory / "closed"
        closed.mkdir()
        (closed / "file").touch()
        closed.chmod(0)
        buried = "mkdir d && cd d && " * 1500 + "true"
        done = await asyncio.create_subprocess_exec("sh", "-c", buried, cwd=directory)
        await done.wait()
        (directory / "launcher").chmod(0)
        await driver.remove(InstanceRef(A), keep_data=False)
        assert not directory.exists()
