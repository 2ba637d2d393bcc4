"""The message broker of a whole box: flows of a real Node-RED use it, programs elsewhere come in through nginx."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest

from appliance.auth.secrets import BoxSecrets
from appliance.proxy.messages import MODULE
from appliance.services import broker
from tests.broker_box import Connection, needs_mosquitto
from tests.support import eventually, stack_cache
from tests.system.box import Box, editor_token

pytestmark = [
    pytest.mark.real,
    needs_mosquitto,
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("shared_processes"),
]

# A broker as a person sets it in the editor, and a flow that answers what it hears.
FLOWS: list[dict[str, Any]] = [
    {
        "id": "b1",
        "type": "mqtt-broker",
        "broker": "${WEIR_BROKER_URL}",
        "clientid": "",
        "protocolVersion": "5",
        "keepalive": "60",
        "cleansession": True,
        "autoConnect": True,
        "credentials": {"user": "${WEIR_BROKER_USERNAME}", "password": "${WEIR_BROKER_PASSWORD}"},
    },
    {"id": "t1", "type": "tab", "label": "messages"},
    {
        "id": "in",
        "type": "mqtt in",
        "z": "t1",
        "topic": "ff/v1/TEAM/c/ping",
        "qos": "1",
        "datatype": "utf8",
        "broker": "b1",
        "wires": [["out"]],
        "x": 100,
        "y": 80,
    },
    {
        "id": "out",
        "type": "mqtt out",
        "z": "t1",
        "topic": "ff/v1/TEAM/c/pong",
        "qos": "1",
        "retain": "false",
        "broker": "b1",
        "wires": [],
        "x": 300,
        "y": 80,
    },
]


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """A box with a broker, its instance `first`, and a flow in it that answers pings."""
    box = Box(tmp_path_factory.mktemp("box") / "h", stack_cache())
    (box.home / "config.d").mkdir()
    (box.home / "config.d" / "broker.toml").write_text("[broker]\nenabled = true\n")
    box.up()
    try:
        deploy(box)
        yield box
    finally:
        box.down()


def deploy(box: Box) -> None:
    team = box.instance("first")["team"]["id"]
    flows = [{**node, **({"topic": node["topic"].replace("TEAM", team)} if "topic" in node else {})} for node in FLOWS]
    editor = box.instance_url("first")
    token = editor_token(box.url, editor, "admin", box.password)
    headers = {"Authorization": f"Bearer {token}", "Node-RED-Deployment-Type": "full"}
    with httpx.Client(verify=False, timeout=30, headers=headers) as client:  # noqa: S501 - the certificate is the box's
        assert client.post(f"{editor}/flows", json=flows).status_code == 204


class Someone:
    """A program with the credentials of an instance: nobody else has any."""

    def __init__(self, box: Box, name: str = "first") -> None:
        found = box.instance(name)
        self.team, self.id = found["team"]["id"], found["id"]
        self.status = box.json("broker", "status")
        secrets = BoxSecrets((box.home / "state" / "box.key").read_bytes())
        self.password = broker._password(secrets, self.id, 1)

    def connect(self, port: int, **how: Any) -> Connection:
        return Connection(port, f"project:{self.team}:{self.id}", self.password, **how)

    def ping(self, connection: Connection, said: bytes) -> bool:
        """Whether the flow answers."""
        try:
            if connection.refused:
                return False
            assert connection.subscribe(f"ff/v1/{self.team}/c/pong") == "Granted QoS 1"
            connection.publish(f"ff/v1/{self.team}/c/ping", said)
            return connection.until(lambda: any(payload == said for _, payload in connection.received), timeout_s=1)
        finally:
            connection.close()


def port_of(url: str) -> int:
    return httpx.URL(url.replace("mqtt", "http", 1)).port or 0


def tls(box: Box) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=box.ca)


async def test_a_node_of_node_red_logs_in_with_what_its_instance_was_given(box: Box) -> None:
    someone = Someone(box)
    port = port_of(someone.status["url"])
    await eventually(
        lambda: asyncio.to_thread(lambda: someone.ping(someone.connect(port), b"one")), timeout_s=30, what="an answer"
    )
    assert someone.status["running"] and someone.status["clients"] == 1 and someone.status["message"] == ""
    assert box.status()["broker"] == {"running": True}
    log = (box.home / "logs").glob("*.log")
    assert all(someone.password not in file.read_text() for file in log)


async def test_programs_elsewhere_come_in_by_websocket_at_the_platforms_address(box: Box) -> None:
    """At its root, where the landing page is as well, and with the certificate of the box."""
    someone = Someone(box)
    wss = httpx.URL(box.url).port or 443

    def ping() -> bool:
        return someone.ping(someone.connect(wss, transport="websockets", tls=tls(box), host="localhost"), b"two")

    await eventually(lambda: asyncio.to_thread(ping), timeout_s=20, what="an answer")
    async with httpx.AsyncClient(verify=tls(box)) as browser:
        assert (await browser.get(box.url)).status_code in (200, 302, 303), "the landing page is there as well"


@pytest.mark.skipif(not MODULE.exists(), reason="nginx has no stream module: apt-get install libnginx-mod-stream")
async def test_programs_elsewhere_come_in_by_tls(box: Box) -> None:
    someone = Someone(box)
    url = next(each for each in someone.status["publicUrls"] if each.startswith("mqtts:"))
    port = int(url.rpartition(":")[2])

    def ping() -> bool:
        return someone.ping(someone.connect(port, tls=tls(box), host="localhost"), b"three")

    await eventually(lambda: asyncio.to_thread(ping), timeout_s=20, what="an answer")


async def test_a_killed_broker_comes_back_and_the_flows_with_it(box: Box) -> None:
    someone = Someone(box)
    os.kill(someone.status["pid"], signal.SIGKILL)
    await eventually(lambda: box.json("broker", "status")["pid"] not in (None, someone.status["pid"]), timeout_s=20)
    await eventually(
        lambda: asyncio.to_thread(lambda: someone.ping(someone.connect(port_of(someone.status["url"])), b"four")),
        timeout_s=40,  # Node-RED waits 15 s before it connects again
        what="an answer",
    )


async def test_a_frozen_appliance_stops_no_message_and_the_next_one_adopts_the_broker(box: Box) -> None:
    someone = Someone(box)
    port, appliance = port_of(someone.status["url"]), psutil.Process(box.status()["appliance"]["pid"])
    appliance.suspend()
    try:
        assert await asyncio.to_thread(lambda: someone.ping(someone.connect(port), b"five"))
    finally:
        appliance.resume()
    appliance.kill()
    await asyncio.to_thread(psutil.wait_procs, [appliance], 10)
    assert await asyncio.to_thread(lambda: someone.ping(someone.connect(port), b"six"))
    await asyncio.to_thread(box.up)
    await eventually(lambda: box.json("broker", "status")["running"], timeout_s=20)
    assert box.json("broker", "status")["pid"] == someone.status["pid"]


async def test_a_deleted_instance_is_thrown_out(box: Box) -> None:
    box.cli("instance", "create", "second", "--wait")
    someone = Someone(box, "second")
    inside = await asyncio.to_thread(lambda: someone.connect(port_of(someone.status["url"])))
    assert inside.refused == ""
    box.cli("instance", "delete", "second", "--yes", "--wait")
    assert await asyncio.to_thread(inside.until, lambda: inside.ended, 10)
    again = await asyncio.to_thread(lambda: someone.connect(port_of(someone.status["url"])))
    assert again.refused == "Not authorized"


async def test_a_broker_that_is_switched_off_ends(box: Box) -> None:
    pid = box.json("broker", "status")["pid"]
    (box.home / "config.d" / "broker.toml").write_text("[broker]\nenabled = false\n")
    appliance = psutil.Process(box.status()["appliance"]["pid"])
    appliance.terminate()
    await asyncio.to_thread(psutil.wait_procs, [appliance], 10)
    await asyncio.to_thread(box.up)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert box.json("broker", "status") == {**box.json("broker", "status"), "enabled": False, "running": False}
    assert box.status()["broker"] is None
    assert "switched off" in box.cli("broker", "status").stdout
    assert "mosquitto.conf" not in os.listdir(box.home / "mosquitto")
