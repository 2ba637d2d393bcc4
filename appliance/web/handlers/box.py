"""The box itself, and what anyone may ask it."""

from __future__ import annotations

import asyncio
import re
from collections import Counter

from appliance.errors import NotFound
from appliance.schema.box import AddName, BoxName, BoxNames, BoxStatus, BoxTasks, Health, Machine
from appliance.schema.broker import BrokerStatus
from appliance.schema.common import Status
from appliance.web import pages
from appliance.web.route import Ask, Reply
from appliance.web.services import Services

_NUMBERS = re.compile(r"[0-9a-f-]{36}|\d+")
CERTIFICATE = "application/x-x509-ca-cert"


async def status(services: Services, ask: Ask[None, None]) -> BoxStatus:
    return await services.box.status(ask.subject)


async def machine(services: Services, ask: Ask[None, None]) -> Machine:
    return await services.box.machine()


async def broker(services: Services, ask: Ask[None, None]) -> BrokerStatus:
    return await services.broker.status()


async def names(services: Services, ask: Ask[None, None]) -> BoxNames:
    return services.accepted.all()


async def add_name(services: Services, ask: Ask[None, AddName]) -> BoxName:
    return await services.accepted.add(ask.subject, ask.body.name)


async def remove_name(services: Services, ask: Ask[None, None]) -> Status:
    await services.accepted.remove(ask.subject, ask.params["name"])
    return Status()


async def tasks(services: Services, ask: Ask[None, None]) -> BoxTasks:
    """What would grow without an end if something forgot its tasks."""
    names = Counter(_NUMBERS.sub("#", task.get_name()) for task in asyncio.all_tasks())
    return BoxTasks(count=names.total(), names=dict(names))


async def health(services: Services, ask: Ask[None, None]) -> Health:
    return Health()


async def ca(services: Services, ask: Ask[None, None]) -> Reply:
    """The certificate of the box's own authority, for phones and PCs to install."""
    try:
        content = await asyncio.to_thread((services.home.tls / "ca.crt").read_bytes)
    except OSError as error:
        raise NotFound("this box has no certificate authority of its own") from error
    return Reply(content, CERTIFICATE, headers=(("Content-Disposition", 'attachment; filename="weir-ca.crt"'),))


async def style(services: Services, ask: Ask[None, None]) -> Reply:
    return Reply(pages.style(), "text/css; charset=utf-8", headers=(("Cache-Control", "public, max-age=3600"),))
