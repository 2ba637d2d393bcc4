"""A person with a browser: logs in to Weir, opens the editor, imports a flow, deploys it, and finds it again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import eventually
from tests.system.box import Box

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = [pytest.mark.real, pytest.mark.timeout(240), pytest.mark.usefixtures("shared_processes")]

FLOW = [
    {"id": "aa00000000000001", "type": "tab", "label": "Imported by a browser"},
    {
        "id": "aa00000000000002",
        "type": "http in",
        "z": "aa00000000000001",
        "name": "",
        "url": "/hello",
        "method": "get",
        "x": 120,
        "y": 80,
        "wires": [["aa00000000000003"]],
    },
    {
        "id": "aa00000000000003",
        "type": "http response",
        "z": "aa00000000000001",
        "name": "",
        "statusCode": "200",
        "headers": {},
        "x": 320,
        "y": 80,
        "wires": [],
    },
]


async def log_in(page: Page, box: Box) -> None:
    await page.fill("input[name=username]", "admin")
    await page.fill("input[name=password]", box.password)
    await page.click("button[type=submit]")


async def open_editor(page: Page, box: Box, name: str = "first") -> None:
    """The editor of an instance; logs in when the platform asks for it."""
    await page.goto(box.instance_url(name))
    await page.wait_for_selector("input[name=password], #red-ui-header-button-deploy", timeout=30_000)
    if await page.query_selector("input[name=password]"):
        await log_in(page, box)
    await page.wait_for_selector("#red-ui-header-button-deploy", timeout=30_000)
    await page.wait_for_selector("#red-ui-loading-progress", state="hidden", timeout=30_000)
    tour = page.locator(".red-ui-tourGuide-popover button[aria-label=Close]")
    await tour.or_(page.locator("#red-ui-header-button-deploy")).first.wait_for()
    if await page.evaluate("RED.settings.get('editor.tours.welcome') === undefined"):
        await tour.click(timeout=10_000)  # the editor greets everybody once


async def import_and_deploy(page: Page, flow: list[dict[str, Any]]) -> None:
    """Menu, import, paste, deploy: as a person does it."""
    await page.keyboard.press("Control+i")
    await page.wait_for_selector("#red-ui-clipboard-dialog-import-text", state="visible")

    async def pasted() -> bool:
        """The dialog empties its text while it opens: paste until the text is taken."""
        await page.fill("#red-ui-clipboard-dialog-import-text", json.dumps(flow))
        await page.press("#red-ui-clipboard-dialog-import-text", "End")
        return await page.is_enabled("#red-ui-clipboard-dialog-ok")

    await eventually(pasted, every_s=0.3, what="the import dialog takes the flow")
    await page.click("#red-ui-clipboard-dialog-ok")
    await page.wait_for_selector("#red-ui-header-button-deploy:not(.disabled)")
    async with page.expect_response(lambda r: r.url.endswith("/flows") and r.request.method == "POST") as answer:
        await page.click("#red-ui-header-button-deploy")
    assert (await answer.value).status in (200, 204)


def stored_flow_ids(box: Box, name: str) -> set[str]:
    with box.api() as api:
        answer = api.get(f"/instances/{name}/flows")
        assert answer.status_code == 200, answer.text
        return {node["label"] for node in answer.json()["flows"] if node["type"] == "tab"}


async def test_a_deployed_flow_survives_every_restart(box: Box, browser: Browser) -> None:
    context = await browser.new_context(ignore_https_errors=True)
    page = await context.new_page()
    await open_editor(page, box)
    await import_and_deploy(page, FLOW)
    assert "Imported by a browser" in stored_flow_ids(box, "first")
    with box.api() as api:
        log = api.get(f"/projects/{box.instance('first')['id']}/audit-log").json()["log"]
    events = {entry["event"] for entry in log}
    assert {"flows.set", "auth.login", "project.created"} <= events

    box.cli("instance", "restart", "first", "--wait")
    await eventually(lambda: hello(context, box), timeout_s=30)

    box.down()
    box.up()
    await eventually(lambda: box.instance("first")["meta"]["state"] == "running", timeout_s=60)
    assert "Imported by a browser" in stored_flow_ids(box, "first")
    await eventually(lambda: hello(context, box), timeout_s=30)
    await open_editor(page, box)
    assert await page.evaluate("RED.nodes.workspace('aa00000000000001').label") == "Imported by a browser"
    await context.close()


async def hello(context: Any, box: Box) -> bool:
    answer = await context.request.get(f"{box.instance_url('first')}/hello")
    return bool(answer.status == 200)


async def test_landing_page_on_a_phone(box: Box, browser: Browser) -> None:
    context = await browser.new_context(ignore_https_errors=True, viewport={"width": 375, "height": 667})
    page = await context.new_page()
    await page.goto(box.url)
    await page.wait_for_selector("input[name=password]")
    await log_in(page, box)
    await page.wait_for_selector("text=first")
    wide = await page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
    assert not wide, "the page must not scroll sideways"
    small = await page.evaluate(
        "[...document.querySelectorAll('a,button')]"
        ".filter(e => e.getBoundingClientRect().height < 40).map(e => e.textContent)"
    )
    assert small == [], "targets a thumb can hit"
    await context.close()


async def test_wrong_password_is_said_in_words(box: Box, browser: Browser) -> None:
    context = await browser.new_context(ignore_https_errors=True)
    page = await context.new_page()
    await page.goto(box.url)
    await page.fill("input[name=username]", "admin")
    await page.fill("input[name=password]", "not it")
    await page.click("button[type=submit]")
    await page.wait_for_selector("[role=alert]")
    assert "password" in (await page.inner_text("[role=alert]")).lower()
    await context.close()
