"""The published launcher, unchanged, under a whole box: the real Node-RED, a login in a real browser, a deploy, its
modules, crashes, commands, and an appliance that goes away and comes back."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest

from tests.chromium import chromium
from tests.npm_registry import Registry
from tests.support import eventually, free_port, published_launcher, stack_cache
from tests.system.box import Box

if TYPE_CHECKING:
    from playwright.async_api import Page

pytestmark = [pytest.mark.real, pytest.mark.timeout(300), pytest.mark.usefixtures("shared_processes")]

PORTS = ("port", "https", "http", "public_base", "node_red_base", "launcher_base")
TITLE = "It's \\ a plant"
FLOWS: list[dict[str, Any]] = [
    {"id": "t", "type": "tab", "label": "from the test"},
    {"id": "in", "type": "http in", "z": "t", "url": "/hello", "method": "get", "wires": [["fn"]]},
    {"id": "fn", "type": "function", "z": "t", "func": 'node.warn("said hello"); return msg', "wires": [["out"]]},
    {"id": "out", "type": "http response", "z": "t", "wires": []},
]


class Plant:
    """A box whose one instance runs under the published launcher."""

    def __init__(self, home: Path) -> None:
        # What a launcher of another make is told of the platform is one address, so one that resolves here.
        self.box = Box(home, stack_cache(), ingress='names = ["localhost"]')
        with (home / "config.toml").open("a") as config:
            config.write(f"[launcher]\ncommand = {json.dumps(published_launcher())}\n[listen]\n")
            # Other boxes may be starting on this machine, and look for the usual ports.
            config.writelines(f"{name} = {free_port()}\n" for name in PORTS)
        try:
            self.box.up()
            self.id = str(self.instance()["id"])
            self.url = self.box.instance_url("first").rstrip("/")
        except BaseException:
            self.box.down()
            raise
        self.http = httpx.Client(verify=ssl.create_default_context(cafile=self.box.ca), timeout=10)

    def close(self) -> None:
        self.http.close()
        self.box.down()

    @property
    def directory(self) -> Path:
        return self.box.home / "instances" / self.id

    def instance(self) -> Any:
        with self.box.api() as api:
            return api.get("/instances/first").json()

    def meta(self) -> Any:
        return self.instance()["meta"]

    def said(self) -> list[Any]:
        with self.box.api() as api:
            return list(api.get(f"/projects/{self.id}/logs?limit=500").json()["log"])

    def act(self, action: str) -> None:
        with self.box.api() as api:
            assert api.post(f"/projects/{self.id}/actions/{action}").status_code == 200

    def events(self) -> list[str]:
        with self.box.api() as api:
            return [entry["event"] for entry in api.get(f"/projects/{self.id}/audit-log").json()["log"]]

    async def runs(self, but: int | None = None) -> Any:
        """Wait until it runs, and not as the Node-RED `but`."""

        def check() -> Any:
            meta = self.meta()
            assert meta["state"] == "running" and meta["nodeRedPid"] not in (None, but), meta
            return meta

        return await eventually(check, 60, every_s=0.2)

    async def is_in(self, state: str) -> None:
        await eventually(lambda: self.meta()["state"] == state, 30, every_s=0.1, what=state)


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """One for all tests of this module: each start of Node-RED is told of only after seven seconds."""
    made = Plant(tmp_path_factory.mktemp("p") / "h")
    try:
        yield made
    finally:
        made.close()


@asynccontextmanager
async def page_of(plant: Plant) -> AsyncIterator[Page]:
    async with chromium() as browser:
        context = await browser.new_context(ignore_https_errors=True)
        yield await context.new_page()


async def test_somebody_logs_in_and_deploys_in_a_browser(plant: Plant) -> None:
    await plant.runs()
    async with page_of(plant) as page:
        await page.goto(plant.url)
        await page.fill("input[name=username]", "admin")
        await page.fill("input[name=password]", plant.box.password)
        await page.click("button[type=submit]")
        await page.wait_for_selector("#red-ui-header-button-deploy", timeout=30000)
        assert page.url.startswith(plant.url)
        nodes = json.dumps(FLOWS)
        await page.evaluate(f"RED.view.importNodes({nodes}, {{generateIds: false, addFlow: false}})")
        async with page.expect_response(lambda answer: answer.url.endswith("/flows")) as deployed:
            await page.evaluate("RED.actions.invoke('core:deploy-flows')")
        assert (await deployed.value).status == 200
    await eventually(lambda: plant.http.get(f"{plant.url}/hello").status_code == 200)
    with plant.box.api() as api:
        stored = api.get("/instances/first/flows").json()["flows"]
    assert {node["id"] for node in FLOWS} <= {node["id"] for node in stored}
    await eventually(lambda: {"auth.login", "flows.set"} <= set(plant.events()))


async def test_what_it_runs_is_the_published_launcher_and_its_versions_are_shown(plant: Plant) -> None:
    meta = await plant.runs()
    assert "nr-launcher-2.29.1" in " ".join(psutil.Process(meta["launcherPid"]).cmdline())
    await eventually(lambda: plant.meta()["versions"].get("launcher") == "2.29.1", 20)
    # Node-RED really has the memory of its stack: the launcher itself tells the wrong program.
    assert "--max-old-space-size=192" in psutil.Process(meta["nodeRedPid"]).environ()["NODE_OPTIONS"]
    assert (plant.directory / "settings.js").stat().st_mode & 0o077 == 0, "its token is in there"


async def test_the_console_is_paged_and_followed(plant: Plant) -> None:
    await plant.runs()
    everything = plant.said()
    assert any("Launcher version: 2.29.1" in str(entry["msg"]) for entry in everything)
    paged: list[Any] = []
    with plant.box.api() as api:
        path, cursor = f"/projects/{plant.id}/logs", ""
        for _ in range(len(everything)):
            page = api.get(path, params={"limit": "4", **({"cursor": cursor} if cursor else {})}).json()
            paged = [*page["log"], *paged]
            if (cursor := page["meta"].get("previousCursor") or page["meta"].get("previous_cursor") or "") == "":
                break
        assert [entry["ts"] for entry in paged] == [entry["ts"] for entry in everything]
        last = everything[-1]["ts"]
        with api.stream("GET", f"{path}/stream", params={"cursor": last}) as stream:
            plant.http.get(f"{plant.url}/hello")
            assert any("said hello" in line for line in _until(stream, "said hello"))


def _lives(pid: int) -> bool:
    """Not merely waited for by nobody: what the killed appliance had started has lost its parent."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _until(stream: httpx.Response, word: str) -> Iterator[str]:
    deadline = time.monotonic() + 20
    for line in stream.iter_lines():
        yield line
        if word in line or time.monotonic() > deadline:
            return


async def test_a_crash_is_made_good_and_kept_with_its_last_words(plant: Plant) -> None:
    before = await plant.runs()
    os.kill(before["nodeRedPid"], signal.SIGKILL)
    await plant.is_in("crashed")
    assert plant.http.get(plant.url).status_code == 503, "nobody is sent to a dead port"
    after = await plant.runs(but=before["nodeRedPid"])
    assert after["launcherPid"] == before["launcherPid"]
    assert plant.http.get(f"{plant.url}/hello").status_code == 200
    told = plant.box.cli("instance", "crashes", "first").stdout
    assert "SIGKILL" in told and "Started flows" in told, told


async def test_settings_and_modules_come_with_a_restart(plant: Plant) -> None:
    before = await plant.runs()
    async with shop() as registry:
        modules = [{"name": "left-hand", "version": "2.3.4", "local": False}]
        env = [{"name": "npm_config_registry", "value": registry.url}, {"name": "KEY", "value": "v", "hidden": True}]
        settings = {"palette": {"modules": modules}, "header": {"title": TITLE}, "env": env}
        changed = await asyncio.to_thread(
            _change, plant, {"settings": settings, "launcherSettings": {"hotSpare": True, "healthCheckInterval": 5000}}
        )
        assert "knows no hotSpare" in changed["note"]
        plant.act("restart")
        after = await plant.runs(but=before["nodeRedPid"])
    assert after["launcherPid"] == before["launcherPid"]
    assert json.loads((plant.directory / "node_modules/left-hand/package.json").read_text())["version"] == "2.3.4"
    assert psutil.Process(after["nodeRedPid"]).environ()["KEY"] == "v"
    assert any("[npm]" in str(entry["msg"]) for entry in plant.said())
    written = (plant.directory / "settings.js").read_text()
    assert "title: 'It\N{RIGHT SINGLE QUOTATION MARK}s / a plant'" in written, "an apostrophe would end the text"


def _change(plant: Plant, body: dict[str, Any]) -> Any:
    with plant.box.api() as api:
        answer = api.put(f"/projects/{plant.id}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()


@asynccontextmanager
async def shop() -> AsyncIterator[Registry]:
    registry = Registry()
    await registry.open()
    try:
        registry.add("left-hand", "2.3.4")
        yield registry
    finally:
        await registry.close()


async def test_an_appliance_that_was_killed_adopts_it(plant: Plant) -> None:
    before = await plant.runs()
    pid = plant.box.status()["appliance"]["pid"]
    os.kill(pid, signal.SIGKILL)
    await eventually(lambda: not _lives(pid), 10)
    assert plant.http.get(f"{plant.url}/hello").status_code == 200, "it serves without the appliance"
    plant.box.up()
    after = await plant.runs()
    assert (after["launcherPid"], after["nodeRedPid"]) == (before["launcherPid"], before["nodeRedPid"])
    # What it holds is still good: a launcher that is told otherwise ends itself, and leaves its Node-RED behind.
    plant.act("stop")
    await plant.is_in("stopped")
    assert plant.meta()["launcherPid"] == before["launcherPid"]
    os.kill(before["launcherPid"], signal.SIGKILL)

    def replaced() -> bool:
        meta = plant.meta()
        known = meta["versions"].get("launcher")
        return known and meta["state"] == "stopped" and meta["launcherPid"] not in (None, before["launcherPid"])

    await eventually(replaced, 20, every_s=0.2, what="a new launcher that leaves Node-RED stopped")


async def test_it_is_suspended_and_deleted_to_the_last_process(plant: Plant) -> None:
    plant.act("start")
    meta = await plant.runs()
    plant.act("suspend")
    await plant.is_in("suspended")
    assert not any(_lives(meta[key]) for key in ("launcherPid", "nodeRedPid"))
    with plant.box.api() as api:
        assert api.delete(f"/projects/{plant.id}").status_code == 200
        await eventually(lambda: api.get("/instances/first").status_code == 404, 20)
    assert not plant.directory.exists()
