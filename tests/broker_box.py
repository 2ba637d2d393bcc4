"""A real Mosquitto under a real `Broker`, on free ports, and clients that log in to it."""

from __future__ import annotations

import asyncio
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client as Paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from appliance import config as configuration
from appliance.broker import acl
from appliance.broker.controller import Broker
from appliance.broker.model import Client
from appliance.config import Config, Home
from appliance.system import daemon
from tests.proxy_box import Conditions, quiet_port
from tests.support import eventually

TEAM = "a1b2c3"
ONE, TWO, ELSEWHERE = (f"{n * 8}-1111-4111-8111-111111111111" for n in "123")
needs_mosquitto = pytest.mark.skipif(
    daemon.which("mosquitto") is None,
    reason="Mosquitto is not installed: apt-get install mosquitto",
)


def instance(id_: str, password: str, team: str = TEAM, mark: str = "1") -> Client:
    """An instance as the broker is told of it."""
    return Client(acl.instance_user(team, id_), password, mark, acl.of_instance(team, id_))


class BrokerBox:
    """A home, its broker and who may log in."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        self.conditions = Conditions()
        self.clients = [instance(ONE, "secret-1"), instance(TWO, "secret-2"), instance(ELSEWHERE, "secret-3", "z9")]
        self.config = Config(
            broker=configuration.Broker(enabled=True, port=quiet_port(), websocket_port=quiet_port(), tls_port=0)
        )
        self.home.run.mkdir(parents=True, exist_ok=True)
        self.broker = self.make()
        self._task: asyncio.Task[None] | None = None

    def make(self, config: Config | None = None) -> Broker:
        async def clients() -> list[Client]:
            return self.clients

        return Broker(
            self.home,
            config or self.config,
            password="control-password",
            clients=clients,
            raise_condition=self.conditions.raise_,
            clear_condition=self.conditions.clear,
        )

    async def start(self) -> None:
        """The broker's own loop, until it serves."""
        self._task = asyncio.create_task(self.broker.run())
        await eventually(lambda: self.broker.up, what="the broker answers")

    async def forget(self) -> None:
        """End the loop, as when the appliance ends: the broker goes on."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def close(self) -> None:
        await self.forget()
        await self.broker.stop()

    def paho(self, id_: str = ONE, password: str = "secret-1", team: str = TEAM, **how: Any) -> Connection:
        return Connection(self.config.broker.port, acl.instance_user(team, id_), password, **how)


class Connection:
    """One client, driven by hand: what it was answered, and what reached it. All its methods block."""

    def __init__(
        self,
        port: int,
        user: str,
        password: str,
        *,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        **how: Any,
    ) -> None:
        self.refused = ""
        self.granted: list[str] = []
        self.published: dict[int, str] = {}
        self.received: list[tuple[str, bytes]] = []
        self.ended = False
        self._up = False
        self._client = Paho(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5, **how)
        self._client.username_pw_set(user, password)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda c, u, mid, reasons, p: self.granted.extend(map(str, reasons))
        self._client.on_publish = lambda c, u, mid, reason, p: self.published.__setitem__(mid, str(reason))
        self._client.on_message = lambda c, u, message: self.received.append((message.topic, message.payload))
        if tls is not None:
            self._client.tls_set_context(tls)
        if how.get("transport") == "websockets":
            self._client.ws_set_options(path="/")
        self._client.connect(host, port, keepalive=60)
        self.until(lambda: self._up or bool(self.refused) or self.ended)

    def _on_connect(self, client: Any, _: Any, flags: Any, reason: Any, properties: Any) -> None:
        self.refused = str(reason) if reason.is_failure else ""
        self._up = not reason.is_failure

    def until(self, check: Any, timeout_s: float = 5) -> bool:
        """Serve the connection until `check` is true; whether it became so."""
        end_s = time.monotonic() + timeout_s
        while not check() and time.monotonic() < end_s and not self.ended:
            self.ended = self._client.loop(0.05) != MQTTErrorCode.MQTT_ERR_SUCCESS
        return bool(check())

    def subscribe(self, topic: str) -> str:
        """What the broker answered."""
        before = len(self.granted)
        self._client.subscribe(topic, 1)
        assert self.until(lambda: len(self.granted) > before)
        return self.granted[-1]

    def publish(self, topic: str, payload: bytes = b"x") -> str:
        """What the broker answered."""
        mid = self._client.publish(topic, payload, 1).mid
        assert self.until(lambda: mid in self.published)
        return self.published[mid]

    def close(self) -> None:
        self._client.disconnect()
