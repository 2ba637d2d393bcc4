"""The `units` placer while systemd starts instances at a boot. systemd is a program here that answers from a file."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance.drivers.launch_records import Record, Records, unit_name
from appliance.drivers.program import Command
from appliance.drivers.units import UNIT, Units
from appliance.model import InstanceRef, Phase
from appliance.system.units import Systemctl
from tests.support import eventually

IDS = sorted(str(uuid.UUID(int=number, version=4)) for number in range(3))
SYSTEMCTL = """#!/bin/sh
echo x >>{calls}
while [ "$1" != -- ]; do shift; done
shift
for unit; do cat {said}/$unit; echo; done
"""


class Box:
    """A launch directory with three instances of before the boot, and a systemd to ask."""

    def __init__(self, directory: Path) -> None:
        self.changed: list[str] = []
        self._said, self._calls, self.launch = directory / "said", directory / "calls", directory / "launch"
        self._said.mkdir()
        records = Records(self.launch)
        records.make()
        for each in IDS:
            records.write(Record(each, 1, 1, 2, datetime.now(UTC), "weir", ("/bin/true",), {}, "/nowhere"))
            self.say(each, ActiveState="inactive", Job="7")
        fake = directory / "systemctl"
        fake.write_text(SYSTEMCTL.format(calls=self._calls, said=self._said))
        fake.chmod(0o755)

        async def mint(instance_id: str, generation: int) -> str:
            raise AssertionError("nothing is placed")

        program = Command(("/bin/true",), {}, "http://127.0.0.1:1")
        self.executor = ThreadPoolExecutor(4)
        self.units = Units(
            self.launch, directory / "boot.sock", program, mint, self.executor, systemctl=Systemctl((str(fake),))
        )

    def say(self, instance_id: str, **shown: str) -> None:
        unit = UNIT.format(unit_name(instance_id))
        text = "".join(f"{name}={value}\n" for name, value in {"Id": unit, **shown}.items())
        (self._said / f".{unit}").write_text(text)
        (self._said / f".{unit}").replace(self._said / unit)

    def asked(self) -> int:
        return len(self._calls.read_text().split()) if self._calls.exists() else 0

    async def phase(self, instance_id: str) -> Phase:
        return (await asyncio.to_thread(self.units.observe, InstanceRef(instance_id), self.launch)).phase


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Box]:
    box = Box(tmp_path)
    try:
        yield box
    finally:
        await box.units.close()
        box.executor.shutdown()


async def test_what_systemd_is_about_to_start_is_neither_gone_nor_placed_again(box: Box) -> None:
    await box.units.open(box.changed.append)
    assert box.asked() == 1  # for all of them
    assert [await box.phase(each) for each in IDS] == [Phase.CREATING] * 3


async def test_it_is_told_of_each_that_systemd_has_started(box: Box) -> None:
    await box.units.open(box.changed.append)
    box.say(IDS[0], ActiveState="active", MainPID=str(os.getpid()), InvocationID="i")
    await eventually(lambda: box.changed == [IDS[0]], what="the first one was seen")
    assert [await box.phase(each) for each in IDS] == [Phase.UP, Phase.CREATING, Phase.CREATING]
    record = Records(box.launch).find(IDS[0])
    assert record is not None and record.invocation == "i" and record.identity is not None

    box.say(IDS[1], ActiveState="failed", Result="exit-code")
    await eventually(lambda: box.changed == IDS[:2], what="the second one was seen")
    assert [await box.phase(each) for each in IDS] == [Phase.UP, Phase.EXITED, Phase.CREATING]


async def test_an_instance_that_was_removed_meanwhile_is_not_waited_for(box: Box) -> None:
    await box.units.open(box.changed.append)
    Records(box.launch).forget(IDS[2])
    await eventually(lambda: box.changed == [IDS[2]], what="the third one was left")
    assert await box.phase(IDS[2]) is Phase.ABSENT


async def test_a_record_that_is_spoiled_keeps_the_others_from_nothing(box: Box) -> None:
    Records(box.launch).file(IDS[1]).write_text("{")
    await box.units.open(box.changed.append)
    assert [await box.phase(each) for each in IDS] == [Phase.CREATING, Phase.UNKNOWN, Phase.CREATING]
