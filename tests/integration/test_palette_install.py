"""What people install in the editor: through the real Node-RED, its palette and its function nodes."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from appliance.services import palette
from launcher.npm import Modules
from tests.integration.test_launcher_node_red import alive, flow
from tests.launcher_rig import Rig, rig
from tests.npm_registry import Registry, registry
from tests.plugins.browser import Browser
from tests.plugins.fake_appliance import FakeAppliance
from tests.plugins.harness import NodeRed
from tests.support import built_stack, eventually

pytestmark = pytest.mark.real

LOOK = "node -e \"require('fs').writeFileSync('seen.json', JSON.stringify(process.env))\""


@pytest.fixture
async def shop() -> AsyncIterator[Registry]:
    async with registry() as made:
        for version in ("1.0.0", "1.1.0"):
            made.add("node-red-contrib-lamp", version, "lamp", scripts={"postinstall": LOOK})
        made.add("left-hand", "2.3.4")
        yield made


@pytest.fixture
async def editor(shop: Registry, tmp_path: Path) -> AsyncIterator[Browser]:
    """Someone who may edit, at a Node-RED whose `npm` is the instance's."""
    stack = built_stack()
    async with FakeAppliance() as appliance, NodeRed(tmp_path / "red", appliance, stack) as node_red:
        modules = Modules(node_red.folder, stack.node, stack.node_red, lambda line: None)
        shim = tmp_path / "bin" / "npm"
        shim.parent.mkdir()
        modules.write_shim(shim, 60)
        (node_red.folder / ".npmrc").write_text(shop.npmrc)
        node_red.extra_boot = {"npm": str(shim), "userDir": str(node_red.folder)}
        node_red.extra_env = {"DB_PASSWORD": "swordfish", "PATH": f"{shim.parent}:/usr/bin:/bin"}
        await node_red.up()
        browser = Browser(node_red, "alice")
        await browser.login()
        yield browser
        await browser.close()


def dependencies(folder: Path) -> dict[str, str]:
    return dict(json.loads((folder / "package.json").read_text()).get("dependencies") or {})


def told(audits: list[dict[str, Any]], event: str) -> list[dict[str, Any]]:
    return [audit for audit in audits if audit["event"] == event]


async def test_the_palette_installs_updates_and_removes(editor: Browser, shop: Registry) -> None:
    folder, appliance = editor.node_red.folder, editor.node_red.appliance
    status, answer = await editor.post("/nodes", {"module": "node-red-contrib-lamp", "version": "1.0.0"})
    assert status == 200 and answer["nodes"][0]["types"] == ["lamp"], answer
    assert dependencies(folder) == {"node-red-contrib-lamp": "~1.0.0"}
    seen = (folder / "node_modules" / "node-red-contrib-lamp" / "seen.json").read_text()
    assert "swordfish" not in seen and "WEIR_" not in seen and json.loads(seen)["HOME"] == str(folder)
    status, answer = await editor.post("/nodes", {"module": "node-red-contrib-lamp", "version": "1.1.0"})
    assert status == 200, answer
    status, answer = await editor._call("DELETE", "/nodes/node-red-contrib-lamp", None)
    assert status == 204 and dependencies(folder) == {}
    status, answer = await editor.post("/nodes", {"module": "node-red-contrib-lamp"})
    assert status == 200, answer
    await eventually(lambda: len(told(appliance.audit, "nodes.install")) == 3)
    settings: dict[str, Any] = {}
    for audit in appliance.audit:
        settings = palette.after(settings, audit["event"], audit) or settings
    assert palette.modules(settings) == dependencies(folder) == {"node-red-contrib-lamp": "~1.1.0"}


async def test_a_failed_install_says_so_and_changes_nothing(editor: Browser, shop: Registry) -> None:
    folder, appliance = editor.node_red.folder, editor.node_red.appliance
    status, _ = await editor.post("/nodes", {"module": "node-red-contrib-nowhere"})
    assert status == 404
    shop.fault = "error"
    status, answer = await editor.post("/nodes", {"module": "node-red-contrib-lamp"})
    assert status == 400, answer
    assert dependencies(folder) == {} and not (folder / "node_modules" / "node-red-contrib-lamp").exists()
    await eventually(lambda: len(told(appliance.audit, "nodes.install")) == 2)
    assert all(palette.after({}, "nodes.install", audit) is None for audit in told(appliance.audit, "nodes.install"))


async def test_a_viewer_installs_nothing(editor: Browser, shop: Registry) -> None:
    viewer = Browser(editor.node_red, "victor")
    try:
        await viewer.login()
        status, _ = await viewer.post("/nodes", {"module": "node-red-contrib-lamp"})
    finally:
        await viewer.close()
    assert status == 401 and shop.asked == []


@pytest.fixture
async def box(tmp_path: Path, shop: Registry) -> AsyncIterator[Rig]:
    async with rig(tmp_path, built_stack()) as made:
        made.appliance.settings["settings"]["palette"] = {"npmrc": shop.npmrc}
        made.appliance.settings["env"]["DB_PASSWORD"] = "swordfish"
        yield made


def with_module(code: str, module: str) -> list[dict[str, Any]]:
    flows = flow(code)
    flows[-1]["libs"].append({"var": "lib", "module": module})
    return flows


async def test_a_function_nodes_module_stays_and_the_next_start_needs_no_network(box: Rig, shop: Registry) -> None:
    box.appliance.flows = with_module("node.warn('version ' + lib.version)", "left-hand")
    box.appliance.settings["settings"]["palette"]["modules"] = {}
    await box.start()
    await eventually(lambda: box.said("version 2.3.4"), 50)
    await eventually(lambda: bool(told(box.appliance.audits, "modules.install")))
    # The platform hears of it, puts it on its list, and lists it from then on.
    settings = palette.after({}, "modules.install", told(box.appliance.audits, "modules.install")[0])
    assert settings is not None and palette.modules(settings) == dependencies(box.directory)
    box.appliance.settings["settings"]["palette"]["modules"] = palette.modules(settings)
    before = (box.directory / "node_modules").stat().st_ino
    await shop.close()
    seen = len(box.appliance.states)
    await box.command("restart", generation=1)
    await eventually(
        lambda: any(
            report["commandGeneration"] == 1 and report["state"] == "running" for report in box.appliance.states[seen:]
        ),
        40,
    )
    await eventually(lambda: sum("version 2.3.4" in json.dumps(e) for e in os_lines(box)) >= 2, 30)
    assert "installing" not in [report["state"] for report in box.appliance.states]
    assert (box.directory / "node_modules").stat().st_ino == before


def os_lines(box: Rig) -> list[str]:
    """What the log on disk says."""
    paths = sorted((box.directory / "launcher" / "logs").glob("*.ndjson"))
    return [line for path in paths for line in path.read_text().splitlines()]


async def test_a_list_that_can_not_be_installed_starts_what_is_there_and_says_so(box: Rig, shop: Registry) -> None:
    box.appliance.settings["settings"]["palette"]["modules"] = {"left-hand": "2.3.4"}
    box.appliance.flows = flow("node.warn('the flows run')")
    await shop.close()
    await box.start()
    info = await box.until("running", timeout_s=60)
    assert info["reason"] == "modules_failed" and "left-hand missing" in info["message"], info
    await eventually(lambda: box.said("the flows run"))
    os.kill(info["nodeRedPid"], 9)  # a crash does not wait for the network again
    await eventually(lambda: bool(box.appliance.seen("crashed")))
    await box.until("running")
    words = box.appliance.words()
    assert "installing" in words and "installing" not in words[words.index("crashed") :]
    await shop.open()
    await box.command("restart", generation=1)

    async def mended() -> bool:
        now = await box.info()
        return (now["state"], now["commandGeneration"], now["reason"]) == ("running", 1, "")

    await eventually(mended, 60)
    assert dependencies(box.directory) == {"left-hand": "2.3.4"}


async def installing(box: Rig, shop: Registry) -> int:
    """A restart with a longer list, whose install hangs at the registry; the pid of its npm."""
    shop.fault = "hang"
    box.appliance.settings["settings"]["palette"]["modules"] = {"left-hand": "2.3.4"}
    await box.command("restart", generation=1)
    await eventually(lambda: any(path.endswith(".tgz") for path in shop.asked), 40)
    note = box.directory / "launcher" / "modules" / "npm.json"
    return int(json.loads(note.read_text())[0]["pid"])


async def test_what_runs_goes_on_while_modules_are_installed_and_a_stop_ends_that(box: Rig, shop: Registry) -> None:
    await box.start()
    first = await box.until("running")
    npm = await installing(box, shop)
    info = await box.info()
    assert info["nodeRedPid"] == first["nodeRedPid"] and "Installing modules (1 listed)" in info["message"], info
    async with box.http.get(f"http://127.0.0.1:{box.node_red_port}/") as answer:
        assert answer.status == 200
    await box.command("stop", generation=2)
    await box.until("stopped")
    assert not alive(npm) and dependencies(box.directory) == {}
    shop.fault = ""
    await box.command("start", generation=3)
    await box.until("running", timeout_s=60)
    assert dependencies(box.directory) == {"left-hand": "2.3.4"}


async def test_a_launcher_killed_while_it_installs(box: Rig, shop: Registry) -> None:
    await box.start()
    await box.until("running")
    npm = await installing(box, shop)
    os.kill(box.pid, 9)
    assert box.process is not None
    await box.process.wait()
    await eventually(lambda: not alive(npm), 15)
    assert dependencies(box.directory) == {}
    shop.fault = ""
    box.appliance.tickets.add("ticket-1")
    await box.start()
    await box.until("running", timeout_s=60)
    assert dependencies(box.directory) == {"left-hand": "2.3.4"}
    assert not list((box.directory / "launcher" / "modules").glob("stage-*"))
