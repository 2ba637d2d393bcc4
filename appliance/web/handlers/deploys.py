"""Deploys that were made while the appliance was away and could not be stored afterwards."""

from __future__ import annotations

from appliance.schema.common import Status
from appliance.schema.deploys import KeptDeploys, KeptFlows
from appliance.web.route import Ask
from appliance.web.services import Services


async def list_all(services: Services, ask: Ask[None, None]) -> KeptDeploys:
    return await services.deploys.list(ask.id)


async def flows(services: Services, ask: Ask[None, None]) -> KeptFlows:
    return await services.deploys.flows(ask.id, ask.params["kept"])


async def restore(services: Services, ask: Ask[None, None]) -> Status:
    await services.deploys.restore(ask.subject, ask.id, ask.params["kept"])
    return Status()


async def discard(services: Services, ask: Ask[None, None]) -> Status:
    await services.deploys.discard(ask.subject, ask.id, ask.params["kept"])
    return Status()
