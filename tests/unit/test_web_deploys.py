"""Unsent and kept deploys over HTTP: whose token, which shapes, and what the plugin reads out of the answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from appliance.config import Config, Limits, Listen
from appliance.web.routes import API
from tests.web_box import WebBox, web_box

EMPTY = hashlib.sha256(b"[]").hexdigest()


@pytest.fixture
async def box(home: Path) -> AsyncIterator[WebBox]:
    async with web_box(home, Config(listen=Listen(https=8443), limits=Limits(json_bytes=200_000))) as box:
        yield box


async def hand_in(box: WebBox, token: str, instance_id: str, document: Any) -> tuple[int, dict[str, Any]]:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    client = box.client("tcp", token, **{"Content-Type": "application/json"})
    async with client.post(f"/storage/{instance_id}/deploys", data=body) as answer:
        return answer.status, await answer.json()


async def test_stored_refused_and_kept(box: WebBox) -> None:
    instance = await box.instance("line-1")
    token = (await box.boot(instance)).node_red_token
    mine = {"id": "r1", "base": [EMPTY], "credentialsBase": [], "flows": [{"id": "a"}], "user": None}
    assert await hand_in(box, token, instance.id, mine) == (200, {"result": "stored", "name": ""})
    late = {**mine, "id": "r2", "flows": [{"id": "late"}]}
    status, answer = await hand_in(box, token, instance.id, late)
    assert (status, answer["code"]) == (409, "flows_changed") and answer["hint"]
    status, answer = await hand_in(box, token, instance.id, {**late, "keep": True})
    assert status == 200 and answer["result"] == "kept"
    api = box.client("api")
    async with api.get(f"{API}/projects/{instance.id}/kept") as found:
        (kept,) = (await found.json())["kept"]
    assert kept["name"] == answer["name"] and kept["reason"] == "flows_changed"
    async with api.get(f"{API}/projects/{instance.id}/kept/{kept['id']}") as found:
        assert (await found.json())["flows"] == [{"id": "late"}]
    async with api.get(f"{API}/box/status") as found:
        assert f"deploy_kept:{instance.id}" in [problem["key"] for problem in (await found.json())["problems"]]
    async with api.post(f"{API}/projects/{instance.id}/kept/{kept['id']}/restore") as done:
        assert done.status == 200
    async with api.get(f"{API}/instances/line-1/flows") as found:
        assert (await found.json())["flows"] == [{"id": "late"}]


async def test_a_plain_write_that_comes_late_is_refused(box: WebBox) -> None:
    instance = await box.instance("line-1")
    token = (await box.boot(instance)).node_red_token
    client = box.client("tcp", token, **{"Content-Type": "application/json", "X-Weir-Base": EMPTY})
    for body, status in ((b'[{"id":"first"}]', 200), (b'[{"id":"late"}]', 409)):
        async with client.post(f"/storage/{instance.id}/flows", data=body) as answer:
            assert answer.status == status


@pytest.mark.parametrize(
    ("document", "status"),
    [
        (b"nonsense", 400),
        ({"flows": []}, 400),  # without an id nobody could tell it from another
        ({"id": "r1", "base": "x", "flows": []}, 400),
        ({"id": "r1", "base": [EMPTY], "flows": {"a": 1}}, 400),
        ({"id": "r1", "base": [EMPTY], "flows": ["x" * 250_000]}, 413),
        ({"id": "r1", "base": [EMPTY], "flows": ["x" * 600_000]}, 413),  # more than may be in memory at once
    ],
)
async def test_what_can_not_be_taken_has_a_status_that_says_so(box: WebBox, document: Any, status: int) -> None:
    """Not 503: the plugin would try again for ever instead of having it kept."""
    instance = await box.instance("line-1")
    token = (await box.boot(instance)).node_red_token
    assert (await hand_in(box, token, instance.id, document))[0] == status


async def test_it_takes_the_instances_own_token(box: WebBox) -> None:
    mine, other = await box.instance("line-1"), await box.instance("line-2")
    grant = await box.boot(mine)
    document = {"id": "r1", "base": [EMPTY], "flows": []}
    assert (await hand_in(box, grant.node_red_token, other.id, document))[0] == 404
    assert (await hand_in(box, grant.token, mine.id, document))[0] == 401
