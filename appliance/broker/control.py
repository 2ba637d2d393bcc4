"""Talking to the running broker: short conversations over its control socket, each with a deadline.

Nothing is kept open between them: a broker that was restarted, replaced or frozen meanwhile is simply found so. paho is
driven in a thread and by hand; its own threads and its asyncio companions would live as long as a connection.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from appliance.broker import document
from appliance.broker.acl import CONTROL, CONTROL_USER, MARKER_USER, STATISTICS
from appliance.broker.document import Held
from appliance.broker.model import Running
from appliance.errors import Unavailable

_MARKER = [{"command": "getClient", "username": MARKER_USER}]
DEADLINE_S = 3.0
CHANGES_DEADLINE_S = 30.0  # each change makes the broker write its whole file
_STEP_S = 0.2


class Silent(Unavailable):
    """The broker does not answer at its control socket."""

    code = "broker_silent"


class Refused(Unavailable):
    """The broker answers and does not do what it is told: it does not know the appliance, or a command failed."""

    code = "broker_refused"


class Heard(Struct, frozen=True):
    """What came back: an answer to each command, and how many clients are connected where that was asked."""

    answers: list[dict[str, Any]]
    connected: int | None


class Control:
    """The broker whose control socket this is; `password` is that of the appliance's own client there."""

    def __init__(self, path: Path, password: str) -> None:
        self._path = path
        self._password = password

    async def running(self) -> Running:
        """The versions that the broker was last given. Raises Silent, Refused."""
        heard = await self._ask(_MARKER)
        with _readable():
            return document.running(heard.answers[0])

    async def held(self) -> Held:
        """All that the broker holds. Raises Silent, Refused."""
        heard = await self._ask(document.asked())
        with _readable():
            return document.held(heard.answers)

    async def change(self, commands: Sequence[Mapping[str, Any]]) -> None:
        """Carry these out, in their order. Raises Silent, Refused; then some may have been."""
        await self._ask(commands, deadline_s=CHANGES_DEADLINE_S)

    async def connected(self) -> int | None:
        """How many clients were connected; None while the broker has not counted. Raises Silent, Refused."""
        return (await self._ask(_MARKER, count=True)).connected

    async def _ask(
        self, commands: Sequence[Mapping[str, Any]], *, count: bool = False, deadline_s: float = 0.0
    ) -> Heard:
        conversation = _Conversation(self._path, self._password, commands, count=count)
        return await asyncio.to_thread(conversation.hold, deadline_s or DEADLINE_S)


class _Conversation:
    """One connection: log in, subscribe to the answers, send the commands, wait for their answer. Blocks."""

    def __init__(self, path: Path, password: str, commands: Sequence[Mapping[str, Any]], *, count: bool) -> None:
        self._path = path
        self._commands = commands
        self._topics = [(f"{CONTROL}/response", 1), *([(STATISTICS, 0)] if count else [])]
        self._answer: bytes | None = None
        self._counted: int | None = None
        self._refusal = ""
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"{CONTROL_USER}:{secrets.token_hex(8)}",
            protocol=MQTTProtocolVersion.MQTTv5,
            transport="unix",
        )
        self._client.username_pw_set(CONTROL_USER, password)
        self._client.on_connect = self._connected
        self._client.on_subscribe = self._subscribed
        self._client.on_message = self._received

    def hold(self, deadline_s: float) -> Heard:
        end_s = time.monotonic() + deadline_s
        self._connect(deadline_s)
        try:
            while self._answer is None and not self._refusal:
                if (left_s := end_s - time.monotonic()) <= 0:
                    raise Silent(f"the message broker did not answer within {deadline_s:.0f} s", hint=_HINT)
                if (said := self._client.loop(min(left_s, _STEP_S))) != MQTTErrorCode.MQTT_ERR_SUCCESS:
                    raise Silent(f"the message broker closed the connection ({said.name})", hint=_HINT)
        finally:
            self._client.disconnect()
        if self._refusal:
            raise Refused(f"the message broker refuses the appliance: {self._refusal}", hint=_HINT)
        return Heard(_answers(self._answer or b"", len(self._commands)), self._counted)

    def _connect(self, deadline_s: float) -> None:
        """paho leaves its socket open where connecting fails, and waits without an end where nobody accepts: so first
        a socket of our own."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as tried:
                tried.settimeout(deadline_s)
                tried.connect(str(self._path))
            self._client.connect(str(self._path), 1, keepalive=60)
        except OSError as error:
            raise Silent(f"nobody answers at {self._path}: {error.strerror or error}", hint=_HINT) from error

    def _connected(self, client: Client, _: Any, flags: Any, reason: ReasonCode, properties: Properties | None) -> None:
        if reason.is_failure:
            self._refusal = str(reason)
        else:
            client.subscribe(self._topics)

    def _subscribed(
        self, client: Client, _: Any, mid: int, reasons: list[ReasonCode], properties: Properties | None
    ) -> None:
        if reasons[0].is_failure:
            self._refusal = str(reasons[0])
        else:
            client.publish(CONTROL, msgspec.json.encode({"commands": self._commands}), qos=1)

    def _received(self, client: Client, _: Any, message: MQTTMessage) -> None:
        if message.topic == STATISTICS:
            # Of the last ten seconds; this connection is not in it, or one before it is.
            self._counted = int(message.payload) if message.payload.isdigit() else None
        else:
            self._answer = bytes(message.payload)


_HINT = "It is tried again by itself. See the end of the broker's log, and weir doctor."


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise Refused("the message broker answered what can't be read", hint=_HINT) from error


def _answers(payload: bytes, expected: int) -> list[dict[str, Any]]:
    try:
        answers = msgspec.json.decode(payload, type=dict[str, list[dict[str, Any]]])["responses"]
    except (msgspec.MsgspecError, KeyError) as error:
        raise Refused("the message broker answered what can't be read", hint=_HINT) from error
    failed = [f"{each.get('command')}: {each['error']}" for each in answers if "error" in each]
    if failed or len(answers) != expected:
        raise Refused(f"the message broker did not do all of it: {'; '.join(failed[:3])}", hint=_HINT)
    return answers
