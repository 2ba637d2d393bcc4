"""What Node-RED's plugins and launchers call: storage, library, audit, boot, settings, state (instance protocol)."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from appliance.config import Config, Limits, Listen
from appliance.errors import TooLarge, Unavailable
from appliance.model import Role
from appliance.schema.instances import BootGrant, Instance
from appliance.web.budget import UNCOUNTED_BYTES, Budget
from tests.support import eventually
from tests.web_box import API, WebBox, web_box


class Rig:
    """A box, an instance, and clients with the two tokens that its launcher was given."""

    def __init__(self, box: WebBox, instance: Instance, grant: BootGrant) -> None:
        self.box = box
        self.instance = instance
        self.id = instance.id
        self.grant = grant
        self.node = box.client("tcp", grant.node_red_token)
        self.launcher = box.client("tcp", grant.token)

    async def get(self, client: Any, path: str) -> tuple[int, str, bytes]:
        async with client.get(path) as answer:
            return answer.status, answer.headers.get("Content-Type", ""), await answer.read()

    async def post(self, client: Any, path: str, body: bytes | Any, **headers: str) -> tuple[int, bytes]:
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with client.post(
            path, data=io.BytesIO(sent), headers={"Content-Type": "application/json", **headers}
        ) as answer:
            return answer.status, await answer.read()


@pytest.fixture
async def rig(home: Path) -> AsyncIterator[Rig]:
    async with web_box(home) as box:
        instance = await box.instance("first")
        yield Rig(box, instance, await box.boot(instance))


@pytest.mark.parametrize(
    ("kind", "empty"), [("flows", b"[]"), ("credentials", b"{}"), ("settings", b"{}"), ("sessions", b"{}")]
)
async def test_bytes_in_the_same_bytes_out(rig: Rig, kind: str, empty: bytes) -> None:
    path = f"/storage/{rig.id}/{kind}"
    status, type_, body = await rig.get(rig.node, path)
    assert (status, body) == (200, empty) and type_.startswith("application/json")
    sent = b'[ {"id":"1", "z" : 1.0e2} ]' if kind == "flows" else b'{ "b":1,"a" :1.0e2, "\\u00e4": 1 }'
    assert await rig.post(rig.node, path, sent) == (200, sent)
    assert (await rig.get(rig.node, path))[2] == sent


async def test_what_is_no_document_is_refused_and_nothing_changes(rig: Rig) -> None:
    path = f"/storage/{rig.id}/flows"
    await rig.post(rig.node, path, b'[{"id":"kept"}]')
    for bad in (b"{}", b"", b"[", b"[NaN]", b"\xef\xbb\xbf[]", b'["\xff"]', b"[" * 10_000 + b"]" * 10_000):
        status, body = await rig.post(rig.node, path, bad)
        assert status == 400 and json.loads(body)["code"], bad[:20]
    status, body = await rig.post(rig.node, path, b"[" + b" " * (11 * 1024 * 1024) + b"]")
    assert status == 413
    assert (await rig.get(rig.node, path))[2] == b'[{"id":"kept"}]'
    async with rig.node.post(path, data=b"[]", headers={"Content-Type": "text/plain"}) as answer:
        assert answer.status == 415


async def test_whose_token_opens_what(rig: Rig) -> None:
    other = await rig.box.instance("second")
    other_grant = await rig.box.boot(other)
    stranger = rig.box.client("tcp", other_grant.node_red_token)
    nobody = rig.box.client("tcp")
    owner = rig.box.client("tcp", await rig.box.token(await rig.box.person("olga", Role.OWNER)))
    storage, settings = f"/storage/{rig.id}/flows", f"{API}/projects/{rig.id}/settings"
    expected = {
        "node": (rig.node, 200, 401),
        "launcher": (rig.launcher, 401, 200),
        "stranger": (stranger, 404, 401),
        "nobody": (nobody, 401, 401),
        "owner": (owner, 401, 401),
    }
    for name, (client, on_storage, on_settings) in expected.items():
        assert (await rig.get(client, storage))[0] == on_storage, name
        assert (await rig.get(client, settings))[0] == on_settings, name
    assert (await rig.get(rig.box.client("tcp", other_grant.token), settings))[0] == 404
    for client in (rig.node, rig.launcher):
        assert (await rig.get(client, f"{API}/user"))[0] == 401, "a flow's token is nobody's"
        assert (await rig.get(client, f"{API}/instances"))[0] == 401


async def test_a_new_boot_ends_the_old_tokens_at_once(rig: Rig) -> None:
    path = f"/storage/{rig.id}/flows"
    assert (await rig.get(rig.node, path))[0] == 200
    grant = await rig.box.boot(rig.instance)
    assert (await rig.get(rig.node, path))[0] == 401
    assert (await rig.get(rig.box.client("tcp", grant.node_red_token), path))[0] == 200


async def test_the_library(rig: Rig) -> None:
    base = f"/storage/{rig.id}/library"
    flow, text = [{"id": "1", "type": "tab"}], "return msg;"
    entry = {"name": "a/b/one", "meta": {"outputs": 2}, "body": flow}
    assert await rig.post(rig.node, f"{base}/flows", entry) == (201, b"")
    assert (await rig.post(rig.node, f"{base}/functions", {"name": "a/f.js", "meta": {"o": 1}, "body": text}))[0] == 201
    status, kind, body = await rig.get(rig.node, f"{base}/flows?name=a/b/one")
    assert (status, json.loads(body)) == (200, flow) and kind.startswith("application/json")
    status, kind, body = await rig.get(rig.node, f"{base}/functions?name=a/f.js")
    assert (status, body) == (200, text.encode()) and kind.startswith("text/plain")
    assert json.loads((await rig.get(rig.node, f"{base}/flows?name=/"))[2]) == ["a"]
    assert json.loads((await rig.get(rig.node, f"{base}/functions?name=a"))[2]) == [{"o": 1, "fn": "f.js"}]
    assert (await rig.get(rig.node, f"{base}/flows?name=nothing"))[2] == b"[]"
    assert (await rig.get(rig.node, f"{base}/flows"))[0] == 400
    assert (await rig.post(rig.node, f"{base}/flows", {"name": "x"}))[0] == 400


async def test_audit_of_node_red_and_of_the_launcher(rig: Rig) -> None:
    path = f"/logging/{rig.id}/audit"
    deploy = {"event": "flows.set", "type": "full", "timestamp": 1, "ip": "192.0.2.1"}
    assert await rig.post(rig.node, path, deploy) == (200, b"")
    assert (await rig.post(rig.launcher, path, {"event": "crashed", "info": {"code": 1}, "__launcherLog": [1]}))[
        0
    ] == 200
    assert (await rig.post(rig.node, path, {"event": "project.deleted"}))[0] == 400, "only the platform says that"
    assert (await rig.post(rig.node, path, b"nonsense"))[0] == 400
    async with rig.box.client("api").get(f"{API}/projects/{rig.id}/audit-log") as answer:
        log = (await answer.json())["log"]
    found = {entry["event"]: entry for entry in log}
    assert found["flows.set"]["source"] == "node-red" and found["flows.set"]["body"]["type"] == "full"
    assert found["crashed"]["source"] == "launcher" and "__launcherLog" not in found["crashed"]["body"]
    assert "project.deleted" not in found


async def test_a_ticket_is_good_once(rig: Rig) -> None:
    ticket = await rig.box.services.tokens.mint_ticket(rig.id, 1)
    nobody, path = rig.box.client("tcp"), f"{API}/launchers/boot"
    status, body = await rig.post(nobody, path, {"ticket": ticket, "instance": rig.id, "pid": 1})
    grant = json.loads(body)
    assert status == 200
    secrets = {"token", "nodeRedToken", "clientID", "clientSecret", "credentialSecret", "apiSecret", "spoolKey"}
    assert {*secrets, "teamID", "brokerURL", "brokerUsername", "brokerPassword"} == set(grant)
    status, body = await rig.post(nobody, path, {"ticket": ticket, "instance": rig.id, "pid": 2})
    assert (status, json.loads(body)["code"]) == (409, "ticket_spent")
    status, body = await rig.post(nobody, path, {"ticket": "ffbt_nonsense", "instance": rig.id, "pid": 2})
    assert (status, json.loads(body)["code"]) == (401, "unauthorized")
    assert (await rig.post(nobody, path, {"ticket": ticket}))[0] == 400


async def test_settings_and_states(rig: Rig) -> None:
    status, _, body = await rig.get(rig.launcher, f"{API}/projects/{rig.id}/settings")
    document = json.loads(body)
    assert status == 200 and {"settings", "env", "baseURL", "forgeURL", "storageURL", "weir"} <= set(document)
    assert rig.grant.credential_secret not in body.decode()
    path = f"{API}/projects/{rig.id}/update-state"
    report = {
        "state": "running",
        "seq": 1,
        "pid": 7,
        "nodeRedPid": 8,
        "commandGeneration": 0,
        "versions": {"node": "24"},
    }
    assert await rig.post(rig.launcher, path, report) == (202, b"{}")
    assert await rig.post(rig.launcher, path, {"state": "crashed"}) == (202, b"{}"), "as the published launcher does"
    assert (await rig.post(rig.launcher, path, {"state": "dancing"}))[0] == 400
    assert (await rig.post(rig.node, path, report))[0] == 401, "a flow can't say that it runs"
    async with rig.box.client("api").get(f"{API}/projects/{rig.id}") as answer:
        assert (await answer.json())["meta"]["versions"]["node"] == "24"
    await rig.box.services.instances.suspend(await rig.box.services.accounts.root(), rig.id)
    status, _, body = await rig.get(rig.launcher, f"{API}/projects/{rig.id}/settings")
    assert (status, json.loads(body)["code"]) == (400, "project_suspended")


async def test_account_check(rig: Rig) -> None:
    assert (await rig.get(rig.node, f"/account/check/project/{rig.id}"))[0] == 200
    assert (await rig.get(rig.node, "/account/check/project/other"))[0] == 401
    assert (await rig.get(rig.node, f"/account/check/device/{rig.id}"))[0] == 401
    owner = rig.box.client("tcp", await rig.box.token(await rig.box.person("olga", Role.OWNER)))
    assert (await rig.get(owner, f"/account/check/project/{rig.id}"))[0] == 401


async def test_large_flows_and_the_same_deploy_twice(rig: Rig) -> None:
    """A deploy that is sent again after its answer was lost is stored once, and answered as the first."""
    path = f"/storage/{rig.id}/flows"
    body = json.dumps([{"id": f"n{n}", "type": "function", "func": "x" * 1000} for n in range(3000)]).encode()
    sent = {"x-weir-request": "5f0f2b5e-0000-4000-8000-000000000001", "ff-user": "abcdefghij"}
    for _ in range(2):
        assert await rig.post(rig.node, path, body, **sent) == (200, body)
    assert (await rig.get(rig.node, path))[2] == body


# Memory


async def _half_sent(box: WebBox, instance_id: str, token: str, size: int) -> asyncio.StreamWriter:
    """A deploy of `size` bytes of which the last byte does not come."""
    _, writer = await asyncio.open_connection("127.0.0.1", box.port)
    head = f"POST /storage/{instance_id}/flows HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
    writer.write(f"{head}Content-Type: application/json\r\nContent-Length: {size + 1}\r\n\r\n".encode() + b" " * size)
    await writer.drain()
    return writer


async def test_slow_deploys_of_one_instance_take_only_its_share_of_the_memory(home: Path) -> None:
    """A flow may send as much as it likes, as slowly as it likes; other instances deploy all the same."""
    config = Config(listen=Listen(https=8443), limits=Limits(json_bytes=1024 * 1024))
    async with web_box(home, config) as box:
        greedy, other = await box.instance("greedy"), await box.instance("other")
        token = (await box.boot(greedy)).node_red_token
        held = [await _half_sent(box, greedy.id, token, 1000 * 1024) for _ in range(2)]

        async def status(instance_id: str, token: str, body: bytes) -> int:
            client = box.client("tcp", token, **{"Content-Type": "application/json"})
            try:
                async with client.post(f"/storage/{instance_id}/flows", data=body) as answer:
                    if answer.status == 503:
                        assert (await answer.json())["code"] == "busy"
                    return answer.status
            except aiohttp.ClientConnectionError:  # refused, and cut off before a busy machine had sent the rest
                return 0

        big = b"[" + b" " * 1000 * 1024 + b"]"

        async def refused() -> bool:
            return await status(greedy.id, token, big) == 503

        await eventually(refused, 20, what="the share is used up")
        assert await status(greedy.id, token, b"[]") == 200, "small bodies always go"
        assert await status(other.id, (await box.boot(other)).node_red_token, big) == 200
        for writer in held:
            writer.close()
            await writer.wait_closed()

        async def taken() -> bool:
            return await status(greedy.id, token, big) == 200

        await eventually(taken, 20, what="the share was given back")


def test_a_budget_gives_back_what_it_took() -> None:
    budget = Budget(1000, 600)
    with budget.hold() as one:
        one.of("a").arrived(UNCOUNTED_BYTES)
        assert budget.held_bytes == 0
        one.arrived(500)
        with pytest.raises(Unavailable, match="credential"), budget.hold() as two:
            two.of("a").arrived(UNCOUNTED_BYTES + 200)
        with pytest.raises(Unavailable, match="this box"), budget.hold() as three:
            three.of("b").arrived(UNCOUNTED_BYTES + 501)
        with pytest.raises(TooLarge), budget.hold() as four:
            four.of("c").arrived(UNCOUNTED_BYTES + 601)  # to wait for room would be to wait for ever
        assert budget.held_bytes == 500
    assert budget.held_bytes == 0
