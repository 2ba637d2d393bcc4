"""The message broker for the rest of the box: who may log in, with which password, and how it is.

A password is made from the key of the box, the instance and its generation. It is the same for every launcher of one
generation: one that boots while the appliance is away goes on with what it was given the last time, and its flows stay
connected. Suspending an instance and starting it again, or changing its stack, makes another generation and another
password. Nothing of it is stored.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from appliance.auth.secrets import BoxSecrets
from appliance.broker import acl
from appliance.broker.model import BrokerStatus, Client
from appliance.config import Broker as Configured
from appliance.events import Event
from appliance.schema import broker as wire
from appliance.services.context import Context
from appliance.store import tokens
from appliance.system.access import bare

PREFIX = "ffbp_"
# What may change who is let in.
KINDS = frozenset({"token.revoked", "instance.removed"})


class Access(Struct, frozen=True):
    """What an instance logs in to the broker with. Never logged."""

    url: str
    username: str
    password: str


class Running(Protocol):
    """The broker's reconciler (`broker.controller.Broker`)."""

    @property
    def up(self) -> bool: ...

    async def status(self) -> BrokerStatus: ...


def control_password(box: BoxSecrets) -> str:
    """That of the appliance itself."""
    return box.derive("broker-control")


def access(context: Context, team_id: str, instance_id: str, generation: int) -> Access | None:
    """For a launcher of this generation; None where this box has no broker."""
    if not context.config.broker.enabled:
        return None
    return Access(
        url=f"mqtt://127.0.0.1:{context.config.broker.port}",
        username=acl.instance_user(team_id, instance_id),
        password=_password(context.box, instance_id, generation),
    )


async def clients(context: Context) -> list[Client]:
    """Every instance that a launcher was given credentials for. Raises what the store raises."""
    return [
        Client(
            username=acl.instance_user(run.team_id, run.instance_id),
            password=_password(context.box, run.instance_id, run.generation),
            mark=str(run.generation),
            rules=acl.of_instance(run.team_id, run.instance_id),
        )
        for run in await context.store.read(tokens.runs)
    ]


def concerns(event: Event) -> bool:
    """Whether who may log in may be another one after this."""
    return event.kind in KINDS


class BrokerDesk:
    """How the broker is, for people. `running` None: it is switched off."""

    def __init__(self, context: Context, running: Running | None) -> None:
        self._context = context
        self._running = running

    @property
    def up(self) -> bool:
        """Whether clients are let in; never where it is switched off."""
        return self._running is not None and self._running.up

    async def status(self) -> wire.BrokerStatus:
        """How it is now."""
        if self._running is None:
            return wire.BrokerStatus(enabled=False, running=False)
        seen, configured = await self._running.status(), self._context.config.broker
        return wire.BrokerStatus(
            enabled=True,
            running=seen.running,
            pid=seen.pid,
            clients=seen.clients,
            connected=seen.connected,
            url=f"mqtt://127.0.0.1:{configured.port}",
            public_urls=_public(configured, self._context.base_url(), bare(self._context.names()[0])),
            message=seen.message,
        )

    def summary(self) -> wire.BrokerSummary | None:
        """In a word, asking nobody; None where it is switched off."""
        return None if self._running is None else wire.BrokerSummary(running=self.up)


def _public(configured: Configured, base_url: str, host: str) -> Sequence[str]:
    tls = [f"mqtts://{host}:{configured.tls_port}"] if configured.tls_port else []
    return [f"wss://{base_url.removeprefix('https://')}/", *tls]


def _password(box: BoxSecrets, instance_id: str, generation: int) -> str:
    secret = bytes.fromhex(box.derive("broker", instance_id, str(generation)))
    return PREFIX + base64.urlsafe_b64encode(secret).decode().rstrip("=")
