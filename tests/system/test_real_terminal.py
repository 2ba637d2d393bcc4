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
from tests.system.box import WEIR, Box
from tests.system.terminal_line import Line
from tests.tui.platform_rig import fills
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
        # What serves goes on until its successor is ready, so the state alone does not tell.
        await eventually(lambda: restarted(box, before["node_red_pid"]), 30, every_s=0.2)
        await eventually(lambda: "+ running" in text_of(app), 30)
        await pilot.press("l")
        await eventually(lambda: "Started flows" in text_of(app), 10)
    after = next(i for i in box.status()["instances"] if i["name"] == "first")
    assert after["node_red_pid"] != before["node_red_pid"]
    assert after["launcher_pid"] == before["launcher_pid"]


async def test_the_screens_kill_it_and_open_it_in_safe_mode(box: Box) -> None:
    before = box.instance("first")["meta"]
    async with screens(box) as (app, pilot):
        await eventually(lambda: "+ running" in text_of(app), 30)
        await does(app, pilot, "ctrl+k", "first")
        await eventually(lambda: restarted(box, before["nodeRedPid"]), 30, every_s=0.2)
        killed = box.instance("first")["meta"]["nodeRedPid"]
        await eventually(lambda: "+ running" in text_of(app), 30)
        await does(app, pilot, "R", "first")
        await eventually(lambda: safe(box.instance("first")), 30, every_s=0.2)
        await eventually(lambda: "safe" in text_of(app), 10)
        await pilot.press("r")
        await eventually(lambda: "+ running" in text_of(app), 30)
    after = box.instance("first")["meta"]
    assert after["nodeRedPid"] not in (before["nodeRedPid"], killed)
    assert after["launcherPid"] == before["launcherPid"] and after["restarts"] == before["restarts"]
    told = [entry["body"].get("info") for entry in box.json("audit", "first")["log"]]
    assert {"safe": True} in told and {"now": True} in told
    box.cli("instance", "restart", "first", "--safe", "--wait")
    assert box.instance("first")["meta"]["state"] == "safe"
    box.cli("instance", "restart", "first", "--now", "--wait")
    assert box.instance("first")["meta"]["state"] == "running"


async def test_the_wizard_follows_a_start_step_by_step(box: Box) -> None:
    """Against the real reconciler: one that comes up."""
    async with screens(box) as (app, pilot):
        await eventually(lambda: app.known.loaded and app.known.rights.may("project:create"), 10)
        await makes(app, pilot, "steps")
        await eventually(lambda: "it runs: https://" in text_of(app), 60)
        lines = [line for line in text_of(app).splitlines() if " s " in f"{line} "]
        for step in ("instance is made", "launcher starts", "Node-RED loads", "flows start"):
            (line,) = [each for each in lines if step in each]
            assert "+ " in line and line.rstrip().endswith("s"), line
        await pilot.press("enter")
        await eventually(lambda: "1 overview" in text_of(app) and "+ running" in text_of(app), 10)
    box.cli("instance", "delete", "steps", "--yes", "--wait")


async def test_the_wizard_shows_the_real_cause_of_a_start_that_fails(box: Box, tmp_path: Path) -> None:
    """Flows that end Node-RED as they load: the step that failed, why, and the lines of the log that say so."""
    flows = tmp_path / "flows.json"
    flows.write_text(json.dumps(crashing()))
    async with screens(box) as (app, pilot):
        await eventually(lambda: app.known.loaded and app.known.rights.may("project:create"), 10)
        await pilot.press("c")
        await eventually(lambda: "Node-RED 5" in text_of(app), 10)
        await fills(pilot, {"name": "broken", "start": "file", "file": str(flows)})
        await eventually(lambda: "broken does not run: the cause is above" in text_of(app), 60)
        await eventually(lambda: "flow out of order" in text_of(app), 10)
        lines = text_of(app).splitlines()
        (failed,) = [line for line in lines if line.startswith(("x ", "> x ", "  x "))]
        assert "flows start" in failed or "Node-RED loads" in failed, lines
        assert [line for line in lines if "instance is made" in line and "+ " in line], lines
        assert "exception" in text_of(app) and "it runs" not in text_of(app)
        await pilot.press("enter")  # to its page, where the same is said
        await eventually(
            lambda: "1 overview" in text_of(app) and ("exception" in text_of(app) or "afe mode" in text_of(app)), 10
        )
    shown = box.instance("broken")
    assert shown["meta"]["restarts"] > 0, shown["meta"]
    box.cli("instance", "delete", "broken", "--yes", "--wait")


async def test_a_shell_from_elsewhere_passes_through_nginx(box: Box, tmp_path: Path) -> None:
    """Over --url with a token: keys, size, output and the end; an owner is told why there is none on such a box."""
    token = tmp_path / "token"
    token.write_text(box.json("token", "create", "remote", "--admin")["token"])
    remote = ["--url", box.url, "--token-file", str(token), "--ca", box.ca]
    with Line([str(WEIR), *remote, "instance", "shell", "first"], rows=33, columns=99) as line:
        await eventually(lambda: "which owns all of it" in line.said())
        await eventually(lambda: line.said().rstrip().endswith(("#", "$")), 20)
        line.types("stty size; pwd; echo do''ne")
        await eventually(lambda: "done" in line.said(), 20)
        assert "33 99" in line.said() and box.instance("first")["id"] in line.said()
        line.types("exit")
        await eventually(lambda: line.ended() == 0, 20)
    (opened,) = [each for each in box.json("audit", "first")["log"] if each["event"] == "instance.shell.opened"]
    assert opened["trigger"]["name"] == "admin" and "owns the whole box" in opened["body"]["info"]["account"]
    box.cli("user", "create", "olga", "--team", "home", "--role", "owner")
    token.write_text(box.json("token", "create", "hers", "--user", "olga")["token"])
    with Line([str(WEIR), *remote, "instance", "shell", "first"]) as line:
        await eventually(lambda: line.ended() == 1, 20)
        assert "no sandbox on this box" in line.said() and "Ask an administrator" in line.said()


def restarted(box: Box, before: int) -> bool:
    meta = box.instance("first")["meta"]
    return meta["state"] == "running" and meta["nodeRedPid"] not in (None, before)


async def does(app: WeirApp, pilot: Pilot[None], key: str, name: str) -> None:
    """Press the key, and type the name that it asks for."""
    await pilot.press(key)
    await eventually(lambda: app.frame.prompt.has_cursor, 5)
    await pilot.press(*name, "enter")


async def makes(app: WeirApp, pilot: Pilot[None], name: str) -> None:
    """An instance by the wizard, with the usual choices."""
    await pilot.press("c")
    await eventually(lambda: "Node-RED 5" in text_of(app), 10)
    await pilot.press("enter")
    await eventually(lambda: app.frame.prompt.has_cursor, 5)
    await pilot.press(*name, "enter", "S")


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
