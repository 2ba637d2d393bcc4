"""What a launcher asks and tells (instance protocol §1.3, §1.10)."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from appliance.schema.common import Status
from appliance.schema.instances import BootGrant, BootRequest, UpdateState
from appliance.web.route import Ask
from appliance.web.services import Services


async def boot(services: Services, ask: Ask[None, BootRequest]) -> BootGrant:
    """Trade a ticket for what the launcher needs. The ticket is the credential, so the route is public."""
    body = ask.body
    return await services.tokens.boot(body.ticket, body.instance, body.pid, body.proof)


async def settings(services: Services, ask: Ask[None, None]) -> dict[str, Any]:
    document = await services.instances.settings_document(ask.id, ask.subject.kind)
    if "weir" in document and (stamp := await services.backups.handed.stamp(ask.id)):
        document["weir"]["files"] = stamp
    return document


async def files(services: Services, ask: Ask[None, None]) -> web.StreamResponse:
    """The files of a restored instance, as a tar."""
    path = await services.backups.handed.waiting(ask.id)
    return web.FileResponse(path, headers={"Content-Type": "application/x-tar"})


async def files_taken(services: Services, ask: Ask[None, None]) -> Status:
    await services.backups.handed.taken(ask.id)
    return Status()


async def update_state(services: Services, ask: Ask[None, UpdateState]) -> dict[str, Any]:
    await services.instances.report_state(ask.id, ask.body)
    return {}
