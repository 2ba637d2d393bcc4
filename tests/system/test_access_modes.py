"""A person with a browser at instances that have a name of their own, then a path of their own, on the same box.

The browser trusts the box's authority as one does that has imported it: nothing about certificates is ignored.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.chromium import chromium, trust
from tests.support import eventually, stack_cache
from tests.system.box import Box
from tests.system.test_browser import FLOW, import_and_deploy, log_in, open_editor, stored_flow_ids

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = [pytest.mark.real, pytest.mark.timeout(240), pytest.mark.usefixtures("shared_processes")]

DOMAIN = "plant.example"
HOST = f'mode = "host"\ndomain = "{DOMAIN}"'
PATH = 'mode = "path"\npath_is_one_trust_domain = true'


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    box = Box(tmp_path_factory.mktemp("box") / "h", stack_cache(), ingress=HOST)
    box.up()
    try:
        yield box
    finally:
        box.down()


@pytest.fixture
async def browser(box: Box, tmp_path: Path) -> AsyncIterator[Browser]:
    trust(Path(box.ca), tmp_path)
    rules = f"--host-resolver-rules=MAP {DOMAIN} 127.0.0.1, MAP *.{DOMAIN} 127.0.0.1"
    async with chromium(rules, home=tmp_path) as browser:
        yield browser


async def hello(page: Page, box: Box) -> bool:
    """The flow's own endpoint answers."""
    answer = await page.goto(f"{box.instance_url('first')}/hello")
    return answer is not None and answer.status == 200


async def follow_login(page: Page, box: Box, url: str) -> None:
    """A page of the flows that is for people of the team; its cookie stays with the instance."""
    await page.goto(url)
    if await page.query_selector("input[name=password]"):
        await log_in(page, box)
    await page.wait_for_url(url)
    assert await page.inner_text("body") == "{}"


def guard_endpoints(box: Box) -> None:
    """From the next start on the flows' pages are for people of the team."""
    settings = {"settings": {"httpNodeAuth": {"type": "flowforge-user"}}}
    with box.api() as api:
        assert api.put(f"/projects/{box.instance('first')['id']}", json=settings).status_code == 200


def heard(page: Page) -> set[str]:
    """Addresses of websockets, once something came by them."""
    found: set[str] = set()
    page.on("websocket", lambda socket: socket.on("framereceived", lambda _: found.add(socket.url)))
    return found


async def cookies_of(page: Page) -> list[Any]:
    return [cookie for cookie in await page.context.cookies() if "weir_http_" in cookie["name"]]


async def test_each_instance_at_a_name_of_its_own(box: Box, browser: Browser) -> None:
    page = await (await browser.new_context()).new_page()
    url = box.instance_url("first")
    assert url.split(":")[1] == f"//first.{DOMAIN}"
    sockets = heard(page)
    await open_editor(page, box)
    assert page.url.startswith(f"{url}/"), "back where it began"
    await eventually(lambda: f"{url.replace('https', 'wss')}/comms" in sockets, what="the editor's websocket")
    await import_and_deploy(page, FLOW)
    assert "Imported by a browser" in stored_flow_ids(box, "first")
    assert await hello(page, box)

    await page.goto(box.url)
    assert await page.get_attribute("a.button", "href") == f"{url}/"
    wrong = await page.goto(url.replace("first.", "nobody."))
    assert wrong is not None and wrong.status == 421
    await page.click("a")
    await page.wait_for_url(f"{box.url}/")


async def test_then_below_a_path_on_the_same_box(box: Box, browser: Browser) -> None:
    old = box.instance_url("first")
    guard_endpoints(box)
    node_red = box.status()["instances"][0]["node_red_pid"]
    box.down()
    box.configure(PATH)
    box.up()

    def restarted() -> bool:
        first = box.status()["instances"][0]
        return first["state"] == "running" and first["node_red_pid"] not in (None, node_red)

    await eventually(restarted, timeout_s=60, what="what runs is restarted with the settings of the other mode")
    page = await (await browser.new_context()).new_page()
    url = box.instance_url("first")
    assert url == f"{box.url}/i/first"
    sockets = heard(page)
    await open_editor(page, box)
    assert page.url.startswith(f"{url}/")
    await eventually(lambda: f"{url.replace('https', 'wss')}/comms" in sockets, what="the editor's websocket")
    assert await page.evaluate("RED.nodes.workspace('aa00000000000001').label") == "Imported by a browser"
    tab = [{**FLOW[0], "id": "cc00000000000001", "label": "Below a path"}]
    await import_and_deploy(page, tab)
    assert "Below a path" in stored_flow_ids(box, "first")

    await follow_login(page, box, f"{url}/hello")
    assert {cookie["path"] for cookie in await cookies_of(page)} >= {"/i/first/"}
    moved = await page.goto(f"{old}/hello")
    assert moved is not None and moved.status == 421
    assert await page.get_attribute("a", "href") == f"{box.status()['appliance']['url']}/i/first/"

    box.cli("instance", "set", "first", "name=press")
    await eventually(lambda: serves(page, f"{box.url}/i/press/hello"), timeout_s=40)
    gone = await page.goto(f"{box.url}/i/first/")
    assert gone is not None and gone.status == 404
    log = json.loads(box.cli("audit", "--platform", "--json").stdout)["log"]
    assert "platform.settings.updated" in {entry["event"] for entry in log}


async def serves(page: Page, url: str) -> bool:
    answer = await page.goto(url)
    return answer is not None and answer.status == 200
