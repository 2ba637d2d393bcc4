"""Makes the pictures of the docs from a running box: `./dev pictures`."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from pathlib import Path

from playwright.async_api import Browser

from tests.chromium import chromium
from tests.support import eventually, stack_cache
from tests.system.box import Box
from tests.system.test_browser import log_in, open_editor
from tui.address import Address
from tui.profile import Profile

PICTURES = Path(__file__).parent / "pictures"
PEOPLE = {"olga": "owner", "alice": "member", "bernhard": "viewer"}
NAMES = ("line-1", "line-2", "boiler-house")
FLOWS = [
    {"id": "f1", "type": "tab", "label": "Filling"},
    {"id": "f2", "type": "tab", "label": "Report of the shift"},
    {"id": "n1", "type": "inject", "z": "f1", "name": "every minute", "repeat": "60", "wires": [["n2"]]},
    {
        "id": "n2",
        "type": "function",
        "z": "f1",
        "name": "litres",
        "func": "return msg;",
        "outputs": 1,
        "wires": [["n3"]],
    },
    {"id": "n3", "type": "debug", "z": "f1", "name": "level", "wires": []},
    {"id": "n4", "type": "http in", "z": "f2", "name": "", "url": "/report", "method": "get", "wires": [["n5"]]},
    {"id": "n5", "type": "template", "z": "f2", "name": "table", "template": "{{payload}}", "wires": [["n6"]]},
    {"id": "n6", "type": "http response", "z": "f2", "name": "", "wires": []},
]
# What is pressed or typed, what is then on the screen, and the picture's name.
TABS = (
    ("1", "versions", "overview"),
    ("3", "NODES", "flows"),
    ("7", "ADDRESS", "access"),
    ("9", "ttyUSB0", "limits"),
)
WORDS = (("members", "bernhard"), ("audit", "project.created"), ("stacks", "offered"), ("host", "processors"))


async def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="weir-pictures-") as scratch:
        box = Box(Path(scratch) / "h", stack_cache())
        box.up()
        try:
            flows = Path(scratch) / "flows.json"
            flows.write_text(json.dumps(FLOWS))
            for name in NAMES:
                box.cli("instance", "create", name, "--flows", str(flows), "--wait")
            box.cli("instance", "stop", "boiler-house", "--wait")
            box.cli("instance", "limits", "line-1", "--memory", "512", "--cpu", "80", "--device", "/dev/ttyUSB0")
            for name, role in PEOPLE.items():
                box.cli("user", "create", name, "--team", "home", "--role", role)
            async with chromium() as browser:
                await _terminal(box, browser)
                await _pages(box, browser)
        finally:
            box.down()


async def _terminal(box: Box, browser: Browser) -> None:
    # Textual reads its switches when it is imported.
    os.environ["TEXTUAL_COLOR_SYSTEM"] = "truecolor"
    from tui.app import WeirApp
    from tui.client import Client

    address = Address(label="the box", base_url="http://weir", socket=box.home / "run" / "api.sock")
    app = WeirApp(Client(address), Profile())
    async with app.run_test(size=(80, 24)) as pilot:
        await eventually(lambda: "boiler-house" in app.export_screenshot(), 10)
        await eventually(lambda: app.known.may("project:create"), 10)
        await pilot.pause(0.5)
        await _drawn(browser, app.export_screenshot(), "instances.png")
        app.command("logs line-1")
        await eventually(lambda: "Started" in app.export_screenshot(), 10)
        await _drawn(browser, app.export_screenshot(), "logs.png")
        for key, wanted, name in TABS:
            await pilot.press(key)
            await eventually(lambda wanted=wanted: wanted in app.export_screenshot(), 10)
            if name == "flows":
                await pilot.press("a")  # all tabs are opened
            await pilot.pause(1)
            await _drawn(browser, app.export_screenshot(), f"{name}.png")
        await pilot.press("escape", "c")
        await eventually(lambda: "application" in app.export_screenshot(), 10)
        await _drawn(browser, app.export_screenshot(), "create.png")
        for word, wanted in WORDS:
            await pilot.press("escape", "colon", *word, "enter")
            await eventually(lambda wanted=wanted: wanted in app.export_screenshot(), 10)
            await _drawn(browser, app.export_screenshot(), f"{word}.png")


async def _drawn(browser: Browser, svg: str, name: str) -> None:
    page = await browser.new_page(viewport={"width": 1000, "height": 640})
    await page.set_content(f"<body style='margin:0'>{svg}</body>")
    await page.locator("svg").first.screenshot(path=PICTURES / name)
    await page.close()


async def _pages(box: Box, browser: Browser) -> None:
    context = await browser.new_context(ignore_https_errors=True, viewport={"width": 1100, "height": 700})
    page = await context.new_page()
    await page.goto(box.url)
    await page.wait_for_selector("input[name=password]")
    await page.screenshot(path=PICTURES / "login.png")
    await log_in(page, box)
    await page.wait_for_selector("text=line-1")
    await page.screenshot(path=PICTURES / "landing.png")
    await open_editor(page, box, "line-1")
    await page.wait_for_timeout(500)
    await page.screenshot(path=PICTURES / "editor.png")
    await context.close()


if __name__ == "__main__":
    asyncio.run(main())
