"""Storage and audit of Node-RED against an appliance that fails and returns."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.plugins.browser import Browser
from tests.plugins.fake_appliance import FakeAppliance
from tests.plugins.harness import SECRETS, NodeRed
from tests.support import built_stack, eventually

pytestmark = pytest.mark.real

TAB: dict[str, Any] = {"id": "tab", "type": "tab", "label": "Deployed"}
NEEDS_PASSWORD: dict[str, Any] = {
    "id": "mail",
    "z": "tab",
    "type": "http request",
    "authType": "basic",
    "credentials": {"user": "u", "password": "of-the-flow"},
    "wires": [[]],
}


@pytest.fixture
async def appliance() -> AsyncIterator[FakeAppliance]:
    async with FakeAppliance() as fake:
        yield fake


@pytest.fixture
async def node_red(appliance: FakeAppliance, tmp_path: Path) -> AsyncIterator[NodeRed]:
    async with NodeRed(tmp_path / "red", appliance, built_stack()) as instance:
        await instance.up()
        yield instance


@pytest.fixture
async def alice(node_red: NodeRed) -> AsyncIterator[Browser]:
    browser = Browser(node_red, "alice")
    await browser.login()
    yield browser
    await browser.close()


async def test_credentials_are_stored_encrypted_and_before_the_flows(appliance: FakeAppliance, alice: Browser) -> None:
    assert (await alice.deploy([TAB, NEEDS_PASSWORD]))[0] == 200
    writes = [what for method, what in appliance.requests if method == "POST" and what in ("flows", "credentials")]
    assert writes == ["credentials", "flows"]
    assert list(appliance.stored["credentials"]) == ["$"]
    assert "of-the-flow" not in json.dumps(appliance.stored)
    await alice.node_red.stop()
    await alice.node_red.up()
    status, credentials = await alice.get("/credentials/http-request/mail")
    assert (status, credentials) == (200, {"user": "u", "has_password": True})


async def test_a_deploy_waits_for_an_appliance_that_restarts(appliance: FakeAppliance, alice: Browser) -> None:
    await appliance.go_away()
    deploy = asyncio.create_task(alice.deploy([TAB, NEEDS_PASSWORD]))
    # 3 s: as long as an appliance takes to restart, not a wait for something that could be observed.
    _, pending = await asyncio.wait([deploy], timeout=3)
    assert pending
    await appliance.come_back()
    assert (await deploy)[0] == 200
    assert appliance.stored["flows"][0] == TAB


async def test_a_repeated_write_carries_the_same_id(appliance: FakeAppliance, alice: Browser) -> None:
    appliance.failing["flows"] = 2
    assert (await alice.deploy([TAB]))[0] == 200
    ids = appliance.write_ids["flows"]
    assert len(ids) == 3
    assert len(set(ids)) == 1
    assert (await alice.deploy([{**TAB, "label": "again"}]))[0] == 200
    assert len(set(appliance.write_ids["flows"])) == 2


async def test_a_refused_deploy_says_why_and_keeps_what_was(appliance: FakeAppliance, alice: Browser) -> None:
    assert (await alice.deploy([TAB]))[0] == 200
    appliance.refuse["flows"] = (409, {"code": "protected", "error": "this instance is protected"})
    status, answer = await alice.deploy([{**TAB, "label": "lost"}])
    assert status == 400
    assert answer["code"] == "protected"
    assert "The flows were not stored: this instance is protected" in answer["message"]
    assert (await alice.get("/flows"))[1]["flows"] == [TAB]


async def test_settings_that_cannot_be_stored_are_stored_later(appliance: FakeAppliance, alice: Browser) -> None:
    appliance.failing["settings"] = 3
    assert (await alice.post("/settings/user", {"view": {"grid": 1}}))[0] in (200, 204)
    await eventually(lambda: "users" in appliance.stored["settings"])


async def test_the_library_keeps_flows_and_functions(appliance: FakeAppliance, alice: Browser) -> None:
    nodes = [{"id": "a", "type": "inject"}]
    assert (await alice.post("/library/local/flows/mine/pump", nodes))[0] == 204
    assert (await alice.get("/library/local/flows/mine/pump"))[1] == nodes
    function = {"name": "double", "text": "return msg; // & more"}
    assert (await alice.post("/library/local/functions/double.js", function))[0] == 204
    assert (await alice.get("/library/local/functions/double.js"))[1] == "return msg; // & more"
    assert (await alice.get("/library/local/functions/"))[1] == [{"fn": "double.js"}]


async def test_audit_events_arrive_in_order_without_noise_or_secrets(appliance: FakeAppliance, alice: Browser) -> None:
    await appliance.go_away()
    deploy = asyncio.create_task(alice.deploy([TAB]))
    await alice.get("/flows")
    await appliance.come_back()
    assert (await deploy)[0] == 200
    await alice.post("/auth/revoke", {"token": "unknown", "noRedirect": True})
    await eventually(lambda: any(e["event"] == "auth.login.revoke" for e in appliance.audit))
    events = [entry["event"] for entry in appliance.audit]
    assert events.index("auth.login") < events.index("flows.set") < events.index("auth.login.revoke")
    assert not [e for e in events if e.startswith("comms.") or e.endswith(".get")]
    deployed = next(entry for entry in appliance.audit if entry["event"] == "flows.set")
    assert deployed["user"] == "id-of-alice"
    assert deployed["type"] == "full"
    assert deployed["path"] == "/flows"
    assert not {"level", "username"} & set().union(*appliance.audit)
    sent = b"".join(appliance.audit_raw).decode()
    assert not [secret for secret in (*SECRETS.values(), alice.token, "ffu_") if secret in sent]


async def test_it_waits_for_the_appliance_at_its_start(appliance: FakeAppliance, node_red: NodeRed) -> None:
    appliance.stored["flows"] = [TAB]
    await node_red.stop()
    await appliance.go_away()
    await node_red.start()
    await eventually(lambda: not node_red.ended() and node_red.lines)
    await appliance.come_back()
    await eventually(lambda: len(node_red.events("listening")) == 2, 20)


async def test_it_ends_rather_than_open_an_empty_editor(appliance: FakeAppliance, node_red: NodeRed) -> None:
    await node_red.stop()
    appliance.refuse["flows"] = (401, {"code": "unauthorized", "error": "unauthorized"})
    await node_red.start()
    await eventually(node_red.ended, 20)
    assert node_red.returncode == 75
    assert node_red.said("Weir did not give this instance its flows")
    assert len(node_red.events("listening")) == 1
