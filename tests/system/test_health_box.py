"""Faults of a real box: `weir status`, `weir problems`, `weir doctor` and the API tell the same, and it is true."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.small_disk import AS_ROOT, fill, tmpfs
from tests.support import eventually, stack_cache
from tests.system.box import Box

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("shared_processes"),
    AS_ROOT,
]


@pytest.fixture
def small_box(tmp_path: Path) -> Iterator[Box]:
    with tmpfs(tmp_path / "disk", size="48m") as disk:
        box = Box(disk / "h", stack_cache())
        try:
            box.up()
            yield box
        finally:
            box.down()


def problems(box: Box) -> dict[str, dict[str, Any]]:
    return {each["key"]: each for each in json.loads(box.cli("problems", "--json").stdout)}


def doctor(box: Box) -> tuple[int, dict[str, Any]]:
    done = box.cli("doctor", "--json", check=False)
    return done.returncode, json.loads(done.stdout)


def change(box: Box, *settings: str) -> Any:
    return box.cli("instance", "set", "first", *settings, check=False)


async def test_a_full_disk_is_told_the_same_everywhere(small_box: Box) -> None:
    box = small_box
    assert set(problems(box)) <= {"disk_low"}, "48 MB are little from the start"
    filler = box.home / "filler"
    fill(filler)
    refused = change(box, "crash-policy=retry")
    for number in range(200):  # SQLite's log may have some room left
        if refused.returncode:
            break
        refused = change(box, f"health-interval={10 + number}")
    assert refused.returncode == 1 and "full" in refused.stderr and "Free" in refused.stderr, refused
    await eventually(lambda: {"disk_full", "database"} <= set(problems(box)), 60, every_s=0.5)
    status = box.status()
    assert {"disk_full", "database"} <= {each["key"] for each in status["problems"]}
    assert [each["state"] for each in status["instances"]] == ["running"]
    code, told = doctor(box)
    assert code == 1 and {"disk_full", "database"} <= {each["key"] for each in told["problems"]}
    assert "disk_full" not in {each["key"] for each in told["findings"]}, "told once"
    text = box.cli("doctor", check=False).stdout
    assert "The disk is full" in text and "-> Free some space" in text
    assert box.instance("first")["name"] == "first"

    filler.unlink()
    await eventually(lambda: not {"disk_full", "database"} & set(problems(box)), 60, every_s=0.5)
    assert change(box, "crash-policy=stop").returncode == 0


async def test_a_box_that_is_killed_again_and_again_says_so(small_box: Box) -> None:
    box = small_box
    for _ in range(3):
        os.kill(box.status()["appliance"]["pid"], signal.SIGKILL)
        box.up()
    await eventually(lambda: "appliance_restarts" in problems(box), 60, every_s=0.5)
    os.kill(box.status()["appliance"]["pid"], signal.SIGKILL)
    code, told = doctor(box)  # nobody answers any more
    found = {each["name"]: each for each in told["findings"]}
    assert code == 1 and not found["appliance"]["ok"] and found["database"]["ok"] and found["stack"]["ok"]
    assert "appliance_restarts" in {each["key"] for each in told["findings"]}
    box.up()


async def test_a_frozen_box_is_told_from_one_that_is_down(small_box: Box) -> None:
    box = small_box
    pid = box.status()["appliance"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        code, told = doctor(box)
        findings = told["findings"]
        assert code == 1 and time.monotonic() - begun < 60
        assert not next(each for each in findings if each["name"] == "appliance")["ok"]
        assert f"pid {pid}" in next(each for each in findings if each["name"] == "process")["detail"]
        assert not [each for each in findings if each["name"] == "ports"], "they are its own"
    finally:
        os.kill(pid, signal.SIGCONT)
    assert doctor(box)[1]["findings"][0]["ok"]
