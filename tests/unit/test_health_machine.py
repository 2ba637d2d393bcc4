"""Disks, memory, clock and heat: what becomes a problem, when it ends, and what is none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from appliance.schema.box import Problem
from appliance.services.health import clock, disk
from appliance.services.health.memory import LOW_S, SWAPPING_S
from appliance.system import vitals
from appliance.system.vitals import ClockState, Disk, Heat
from tests.service_rig import GIB, ROOMY_DISK, ROOMY_MEMORY, WELL, Rig, service_rig

MIB = 2**20


@pytest.fixture
async def rig(home: Path) -> AsyncIterator[Rig]:
    async with service_rig(home) as rig:
        yield rig


async def problems(rig: Rig, *, after_s: float = 0) -> list[str]:
    """The keys of what is wrong after that time; each is fit for people."""
    rig.clock.forward(seconds=after_s)
    found = await rig.box.problems(rig.admin)
    assert all(readable(each) for each in found), found
    return [each.key for each in found]


def readable(each: Problem) -> bool:
    whole = f"{each.title} {each.cause} {each.evidence} {each.next_step}"
    sentence = each.cause.endswith((".", "'", ":")) and each.title[0].isupper()
    return bool(each.title and each.cause and each.evidence and each.next_step) and sentence and "None" not in whole


@pytest.mark.parametrize(
    ("seen", "key"),
    [
        (replace(ROOMY_DISK, free_bytes=400 * MIB, total_bytes=GIB), "disk_low"),
        (replace(ROOMY_DISK, free_bytes=4 * GIB, total_bytes=100 * GIB), "disk_low"),
        (replace(ROOMY_DISK, free_bytes=MIB - 1), "disk_full"),
        (replace(ROOMY_DISK, files_free=19_000), "disk_inodes"),
        (replace(ROOMY_DISK, read_only=True, free_bytes=0), "disk_read_only"),
    ],
)
async def test_a_disk_in_need_until_it_is_well(rig: Rig, seen: Disk, key: str) -> None:
    rig.readings = replace(WELL, disks=(seen,))
    assert await problems(rig) == [key]
    since = (await rig.box.problems(rig.admin))[0].since
    rig.clock.forward(hours=1)
    assert (await rig.box.problems(rig.admin))[0].since == since
    rig.readings = WELL
    assert await problems(rig) == []


async def test_five_per_cent_of_a_large_disk_are_plenty(rig: Rig) -> None:
    rig.readings = replace(WELL, disks=(replace(ROOMY_DISK, total_bytes=2000 * GIB, free_bytes=60 * GIB),))
    assert await problems(rig) == []


async def test_a_disk_at_the_limit_does_not_come_and_go(rig: Rig) -> None:
    for free_mib in (499, 501, 540, 499, 549):
        rig.readings = replace(WELL, disks=(replace(ROOMY_DISK, total_bytes=GIB, free_bytes=free_mib * MIB),))
        assert await problems(rig) == ["disk_low"], free_mib
    assert len([event for event in rig.events if event.kind == "problem.raised"]) == 1


async def test_every_disk_of_the_box_counts(rig: Rig) -> None:
    logs = replace(ROOMY_DISK, path="/box/logs", free_bytes=0)
    rig.readings = replace(WELL, disks=(ROOMY_DISK, logs))
    assert await problems(rig) == ["disk_full:/box/logs"]


def test_a_file_system_without_inodes_has_no_lack_of_them() -> None:
    assert disk.judge([replace(ROOMY_DISK, files=0, files_free=0)]) == []


async def test_little_memory_counts_when_it_stays(rig: Rig) -> None:
    low = replace(WELL, memory=replace(ROOMY_MEMORY, available_bytes=100 * MIB))
    rig.readings = low
    assert await problems(rig) == []
    rig.readings = WELL
    assert await problems(rig, after_s=LOW_S) == []
    rig.readings = low
    assert await problems(rig) == []
    assert await problems(rig, after_s=LOW_S) == ["memory_low"]
    rig.readings = replace(WELL, memory=replace(ROOMY_MEMORY, available_bytes=250 * MIB))
    assert await problems(rig) == ["memory_low"], "six per cent are not well yet"
    rig.readings = WELL
    assert await problems(rig) == []


async def test_a_box_that_swaps_all_the_time(rig: Rig) -> None:
    swap = replace(ROOMY_MEMORY, swap_total_bytes=GIB, swap_free_bytes=GIB // 2)
    seen: list[list[str]] = []
    for number in range(12):
        rig.readings = replace(WELL, memory=replace(swap, swapped_in_pages=number * 10_000))
        seen.append(await problems(rig, after_s=10))
    assert seen[1] == [] and seen[int(SWAPPING_S / 10)] == [] and seen[-1] == ["memory_swapping"]
    assert await problems(rig, after_s=10) == []


async def test_a_clock_that_is_set_while_the_box_runs(rig: Rig) -> None:
    assert await problems(rig) == []
    rig.clock.forward(hours=-3)
    rig.clock_set_by_s -= 3 * 3600
    assert await problems(rig) == ["time_jumped"]
    assert "back by 3 hours" in (await rig.box.problems(rig.admin))[0].cause
    assert await problems(rig, after_s=3500) == ["time_jumped"]
    assert await problems(rig, after_s=200) == []


async def test_small_steps_long_sleeps_and_the_first_setting_are_no_jumps(rig: Rig) -> None:
    rig.readings = replace(WELL, clock=ClockState(synced=False, kept=True, service=True))
    assert await problems(rig) == []
    rig.clock.forward(days=40)
    rig.clock_set_by_s += 40 * 86400
    rig.readings = WELL  # now a time server was reached
    assert await problems(rig) == []
    rig.clock.forward(seconds=20)
    rig.clock_set_by_s += 20
    assert await problems(rig) == []
    assert await problems(rig, after_s=9 * 3600) == []  # the machine slept: that time has passed for it too


async def test_a_clock_from_before_this_version(rig: Rig) -> None:
    rig.clock.now = datetime(1970, 1, 1, 0, 5, tzinfo=UTC)
    assert await problems(rig) == ["time_wrong"]
    rig.clock.now = clock.BUILT
    assert await problems(rig) == []


@pytest.mark.parametrize(
    ("state", "wrong"),
    [
        (ClockState(synced=False, kept=True, service=True), True),  # the service runs in vain
        (ClockState(synced=False, kept=False, service=False), True),  # no battery and nobody to ask
        (ClockState(synced=False, kept=True, service=False), False),  # a virtual machine's host, or a battery
        (ClockState(synced=None, kept=False, service=False), False),  # nothing is known
        (ClockState(synced=True, kept=False, service=False), False),
    ],
)
async def test_a_clock_that_nobody_sets(rig: Rig, state: ClockState, wrong: bool) -> None:
    rig.readings = replace(WELL, clock=state)
    assert await problems(rig) == []
    assert await problems(rig, after_s=clock.UNSYNCED_S) == (["time_unsynced"] if wrong else [])
    rig.readings = WELL
    assert await problems(rig) == []


async def test_a_hot_board(rig: Rig) -> None:
    rig.readings = replace(WELL, heat=Heat("cpu-thermal", 83.2, 80.0))
    assert await problems(rig) == []
    assert await problems(rig, after_s=60) == ["heat_high"]
    rig.readings = replace(WELL, heat=Heat("cpu-thermal", 77.0, 80.0))
    assert await problems(rig) == ["heat_high"]
    rig.readings = replace(WELL, heat=Heat("cpu-thermal", 60.0, 80.0))
    assert await problems(rig) == []


# -- what the kernel really says ------------------------------------------------------------------


def test_the_machine_answers(tmp_path: Path) -> None:
    seen = vitals.disk(tmp_path)
    assert 0 < seen.free_bytes <= seen.total_bytes
    memory = vitals.memory()
    assert 0 < memory.available_bytes <= memory.total_bytes
    assert vitals.clock_state().synced in (True, False, None)
    assert vitals.uptime_s() > 0
    assert vitals.heat() is None or -50 < vitals.heat().now_c < 150  # type: ignore[union-attr]


def test_directories_on_one_file_system_are_one_disk(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    found = vitals.disks([tmp_path, tmp_path / "a", tmp_path / "is not there", Path("/proc")])
    assert [each.path for each in found] == [str(tmp_path), "/proc"]


def test_zones_that_are_no_thermometers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vitals, "SYS", tmp_path)
    assert vitals.heat() is None
    for number, (temp, kind) in enumerate((("-273000", "off"), ("51000", "cpu"), ("nonsense", "x"), ("66000", "gpu"))):
        zone = tmp_path / "class" / "thermal" / f"thermal_zone{number}"
        zone.mkdir(parents=True)
        (zone / "temp").write_text(temp)
        (zone / "type").write_text(kind)
    (zone / "trip_point_0_type").write_text("critical")
    (zone / "trip_point_0_temp").write_text("85000")
    assert vitals.heat() == Heat("gpu", 66.0, 75.0)
