"""The page of the API in a real browser: found by typing, opened by its address, readable on a phone."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.web.routes import ROUTES
from tests.chromium import chromium
from tests.web_box import web_box

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("shared_processes")]


async def test_a_route_is_found_by_typing(home: Path) -> None:
    async with web_box(home) as box, chromium() as browser:
        page = await browser.new_page(viewport={"width": 390, "height": 800})
        wrong: list[str] = []
        asked: list[str] = []
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        address = f"http://127.0.0.1:{box.port}"
        await page.goto(f"{address}/api/")
        assert await page.inner_text("#count") == f"{len(ROUTES)} of {len(ROUTES)} routes"
        await page.keyboard.press("/")
        await page.keyboard.type("Snapshot EXPORT")
        shown = page.locator("details[data-words]:not([hidden])")
        assert await shown.count() == 2
        assert await page.locator("section:not([hidden]) > h2").all_inner_texts() == ["projects", "snapshots"]
        await shown.first.locator("summary").click()
        assert await shown.first.locator("pre").first.is_visible()
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390, "nothing to push sideways"
        await page.keyboard.press("Escape")
        await page.goto(f"{address}/api/#get_user")
        assert await page.locator("#get_user").get_attribute("open") is not None
        assert not wrong
        assert all(url.startswith((address, "data:")) for url in asked), asked
