"""What somebody may do in an open editor follows what the platform says now, long before his login is renewed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.integration.test_plugins_auth import FLOWS, becomes, closed, websocket_auth
from tests.plugins.browser import Browser
from tests.plugins.fake_appliance import FakeAppliance
from tests.plugins.harness import NodeRed
from tests.support import built_stack

pytestmark = pytest.mark.real


@asynccontextmanager
async def logged_in(tmp_path: Path, user: str) -> AsyncIterator[tuple[FakeAppliance, Browser]]:
    async with FakeAppliance() as fake, NodeRed(tmp_path / "red", fake, built_stack()) as red:
        red.extra_boot = {"editorsLookMs": 100}
        await red.up()
        browser = Browser(red, user)
        try:
            await browser.login()
            yield fake, browser
        finally:
            await browser.close()


async def test_a_lower_role_counts_in_editors_that_are_open(tmp_path: Path) -> None:
    async with logged_in(tmp_path, "alice") as (fake, alice):
        assert (await alice.deploy(FLOWS))[0] == 200
        renewed = fake.refreshes
        fake.scope["alice"] = "read"

        async def read_only() -> None:
            assert (await alice.deploy(FLOWS))[0] == 401

        await becomes(read_only)
        assert (await alice.get("/flows"))[0] == 200
        assert fake.refreshes == renewed + 1, "the login was renewed because of the doubt, and once"
        fake.scope["alice"] = "*"

        async def edits() -> None:
            assert (await alice.deploy(FLOWS))[0] == 200

        await becomes(edits)


async def test_whoever_is_thrown_out_loses_the_open_editor(tmp_path: Path) -> None:
    async with logged_in(tmp_path, "alice") as (fake, alice), aiohttp.ClientSession() as http:
        socket = await websocket_auth(alice, http)
        assert await socket.receive_json() == {"auth": "ok"}
        fake.access_tokens.clear()  # as the platform does it: tokens end in the transaction that removes a member
        fake.refused_users.add("alice")
        await closed(socket)
        assert (await alice.get("/settings"))[0] == 401


async def test_an_absent_platform_throws_nobody_out(tmp_path: Path) -> None:
    async with logged_in(tmp_path, "alice") as (fake, alice):
        await fake.go_away()
        for _ in range(5):
            assert (await alice.get("/settings"))[0] == 200
        await fake.come_back()
        assert (await alice.deploy(FLOWS))[0] == 200
