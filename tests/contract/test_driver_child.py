"""What only the `child` placer can get wrong: its record on disk, and processes that only look like its own."""

from __future__ import annotations

import asyncio
import errno
import json
from pathlib import Path

import psutil
import pytest

from appliance.drivers import child
from appliance.drivers.base import DriverUnavailable, PlacementFailed
from appliance.model import InstanceRef, Phase
from tests.contract.rig import GRACE, A, driver_on, gone, seen_by_fake, silent, spec_of
from tests.support import eventually


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


async def test_2_what_could_not_be_written_down_is_waited_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full once the process is there: it ends, and does not stay a zombie of the appliance."""
    write, before = child._write_record, {process.pid for process in psutil.Process().children()}

    def full(directory: Path, record: child.Record) -> None:
        if record.identity is not None:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(directory, record)

    monkeypatch.setattr(child, "_write_record", full)
    async with driver_on(home) as driver:
        with pytest.raises(PlacementFailed, match="No space left"):
            await driver.ensure(spec_of(), report=silent)
        assert {process.pid for process in psutil.Process().children()} == before


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


async def test_8_a_stranger_with_its_pid_is_not_the_launcher(home: Path) -> None:
    """Numbers are used again: the start time tells."""
    async with driver_on(home) as driver:
        await driver.ensure(spec_of(), report=silent)
        await seen_by_fake(home)
        record = home / "instances" / A / "launcher" / "placement.json"
        document = json.loads(record.read_text())
        document["identity"]["start_time"] += 1
        record.write_text(json.dumps(document))
        assert (await driver.observe(InstanceRef(A))).phase is Phase.EXITED


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


async def test_a_flood_of_output_stays_bounded(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Instance protocol D5: the launcher's output was never rotated."""
    monkeypatch.setattr("appliance.drivers.child.OUTPUT_LOOK_S", 0.05)
    async with driver_on(home, "floods") as driver:
        await driver.ensure(spec_of(), report=silent)
        output = home / "instances" / A / "launcher" / "launcher.out"
        sizes: list[int] = []

        def shrunk() -> bool:
            sizes.append(output.stat().st_size)
            return max(sizes) > 1 << 20 and sizes[-1] < max(sizes) / 2

        await eventually(shrunk, 20)
        assert (await driver.observe(InstanceRef(A))).phase is Phase.UP


async def test_a_record_that_cannot_be_read_is_unknown_with_a_reason(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Contract, clause 5: what can't be known is said to be so, never guessed."""
    async with driver_on(home) as driver:
        await driver.ensure(spec_of(), report=silent)

        def failing(path: Path, most_bytes: int) -> bytes:
            raise OSError(5, "Input/output error", str(path))

        with monkeypatch.context() as patch:
            patch.setattr("appliance.drivers.child.read_plain", failing)
            seen = await driver.observe(InstanceRef(A))
            assert (seen.phase, seen.reason) == (Phase.UNKNOWN, "record_unreadable")
            assert "Input/output error" in seen.message
            with pytest.raises(DriverUnavailable):
                await driver.stop(InstanceRef(A), grace=GRACE)
        assert (await driver.observe(InstanceRef(A))).phase is Phase.UP
