"""The command line and the screens on a real box: what people do, and what the API says afterwards."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.support import eventually
from tests.system.box import Box
from tui.address import Address
from tui.app import WeirApp
from tui.client import Client
from tui.profile import Profile

pytestmark = [pytest.mark.real, pytest.mark.timeout(240), pytest.mark.usefixtures("shared_processes")]


@contextlib.asynccontextmanager
async def screens(box: Box) -> AsyncIterator[tuple[WeirApp, Pilot[None]]]:
    address = Address(label="the box", base_url="http://weir", socket=box.home / "run" / "api.sock")
    app = WeirApp(Client(address), Profile(repaint_s=0.05, status_s=0.5))
    async with app.run_test(size=(80, 24)) as pilot:
        yield app, pilot


def text_of(app: WeirApp) -> str:
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


async def test_the_screens_restart_an_instance_and_show_its_live_log(box: Box) -> None:
    before = next(i for i in box.status()["instances"] if i["name"] == "first")
    async with screens(box) as (app, pilot):
        await eventually(lambda: "running" in text_of(app), 10)
        await pilot.press("r")
        await eventually(lambda: "starting" in text_of(app) or "loading" in text_of(app), 10)
        await eventually(lambda: "+ running" in text_of(app), 30)
        await pilot.press("l")
        await eventually(lambda: "Started flows" in text_of(app), 10)
    after = next(i for i in box.status()["instances"] if i["name"] == "first")
    assert after["node_red_pid"] != before["node_red_pid"]
    assert after["launcher_pid"] == before["launcher_pid"]


def test_json_has_the_documented_shapes(box: Box) -> None:
    status = box.json("status")
    assert {"pid", "url"} <= status["appliance"].keys()
    assert {"name", "launcher_pid", "node_red_pid", "state"} <= status["instances"][0].keys()
    listed = box.json("instance", "list")
    assert listed["count"] == len(listed["instances"])
    shown = box.json("instance", "show", "first")
    assert {"id", "name", "url"} <= shown.keys() and shown["meta"]["state"]


def test_a_whole_life_by_the_command_line(box: Box, tmp_path: Path) -> None:
    flows = tmp_path / "flows.json"
    flows.write_text(json.dumps([{"id": "ee00000000000001", "type": "tab", "label": "From a file"}]))
    box.cli("instance", "create", "life", "--flows", str(flows), "--wait")
    assert box.json("instance", "flows", "life")["flows"][0]["label"] == "From a file"
    box.cli("instance", "stop", "life", "--wait")
    assert box.instance("life")["meta"]["state"] == "stopped"
    box.cli("instance", "suspend", "life", "--wait")
    assert next(i for i in box.status()["instances"] if i["name"] == "life")["launcher_pid"] is None
    box.cli("instance", "start", "life", "--wait")
    assert "Started flows" in box.cli("instance", "logs", "life").stdout
    number = box.instance("life")["id"]
    box.cli("instance", "delete", "life", "--yes", "--wait")
    assert "life" not in box.cli("instance", "list").stdout
    assert not (box.home / "instances" / number).exists()
    kept = list((box.home / "state" / "deleted").glob("life-*.json"))
    assert len(kept) == 1 and "From a file" in kept[0].read_text()
    events = [entry["event"] for entry in box.json("audit")["log"]]
    assert {"project.created", "project.stopped", "project.suspended", "project.started", "project.deleted"} <= {
        *events
    }


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["instance", "create", "first"], 1, "first"),  # taken
        (["instance", "create", "admin"], 0, ""),  # free: only the reference's words are reserved
        (["instance", "create", "mqtt"], 1, "mqtt"),  # reserved
        (["instance", "create", "9x"], 1, "letter"),
        (["instance", "show", "nobody"], 1, "nobody"),
        (["instance", "fly"], 2, "fly"),
    ],
)
def test_refusals_say_why(box: Box, arguments: list[str], code: int, says: str) -> None:
    done = box.cli(*arguments, check=False)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    if code == 0:
        box.cli("instance", "delete", arguments[-1], "--yes", "--wait")


async def test_a_flow_that_ends_node_red_at_load_is_told_and_contained(box: Box, tmp_path: Path) -> None:
    """A crash loop ends in safe mode, where the editor opens for repair; the flows stay as they were stored."""
    flows = tmp_path / "flows.json"
    flows.write_text(json.dumps(crashing()))
    box.cli("instance", "create", "crasher", "--flows", str(flows))
    shown = await eventually(lambda: crashed(box.instance("crasher")), 60, every_s=0.3)
    assert "exception" in shown["meta"]["message"] and shown["meta"]["reason"] == "uncaught_exception"
    assert "flow out of order" in box.cli("instance", "logs", "crasher").stdout
    shown = await eventually(lambda: safe(box.instance("crasher")), 100, every_s=0.3)
    assert "afe mode" in shown["meta"]["message"]
    assert box.json("instance", "flows", "crasher")["flows"] == crashing()
    assert box.instance("first")["meta"]["state"] == "running"
    box.cli("instance", "delete", "crasher", "--yes", "--wait")


def crashed(shown: Any) -> Any:
    return shown if shown["meta"]["state"] == "crashed" else None


def safe(shown: Any) -> Any:
    return shown if shown["meta"]["state"] == "safe" else None


def crashing() -> list[dict[str, object]]:
    """An uncaught exception outside of any node's own try: it ends the process."""
    tab = "ff00000000000001"
    return [
        {"id": tab, "type": "tab", "label": "Crash"},
        {
            "id": "ff00000000000002",
            "type": "function",
            "z": tab,
            "name": "",
            "func": "return msg;",
            "outputs": 1,
            "initialize": "Promise.reject(new Error('flow out of order'));",
            "wires": [[]],
        },
    ]
