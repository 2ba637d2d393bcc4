"""A whole box in maintenance: instances end, stay so over a restart of the appliance, and come back as they were."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support import eventually, stack_cache
from tests.system.box import Box

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    box = Box(tmp_path / "h", stack_cache())
    try:
        yield box
    finally:
        box.down()


async def test_everything_is_paused_and_comes_back(box: Box) -> None:
    box.up()
    box.cli("instance", "create", "held")
    box.cli("instance", "suspend", "held", "--wait")
    await eventually(lambda: box.instance("first")["meta"]["state"] == "running", 60)
    launcher = box.instance("first")["meta"]["launcherPid"]
    editor = box.instance_url("first")
    box.cli("maintenance", "on", "--reason", "new switch")
    await eventually(lambda: not Path(f"/proc/{launcher}").exists(), 30)
    shown = box.instance("first")
    assert (shown["meta"]["state"], shown["meta"]["reason"], shown["desired"]) == (
        "suspended",
        "maintenance",
        "running",
    )
    page = await eventually(lambda: stopped_page(box, editor), 15)
    assert "new switch" in page
    restarted = box.status()["appliance"]["pid"]
    box.down()
    box.up()
    status = box.status()
    assert status["appliance"]["pid"] != restarted
    assert status["maintenance"]["on"] and status["maintenance"]["reason"] == "new switch"
    assert box.instance("first")["meta"]["launcherPid"] is None
    assert box.cli("instance", "start", "first", check=False).returncode == 1
    box.cli("maintenance", "off")
    await eventually(lambda: box.instance("first")["meta"]["state"] == "running", 60)
    assert box.instance("held")["meta"]["state"] == "suspended"
    assert await eventually(lambda: box.json("wear")["instances"], 40), "its launcher has told what it wrote"


def stopped_page(box: Box, url: str) -> str:
    """What a visitor reads, once it tells of the maintenance."""
    with httpx.Client(verify=False, timeout=10) as client:
        text = client.get(url, headers={"Accept": "text/html"}).text
    return text if "maintenance" in text else ""
