"""What an instance may take of the box."""

from __future__ import annotations

from appliance.schema.limits import ChangeLimits, ShownLimits
from appliance.web.route import Ask
from appliance.web.services import Services


async def read(services: Services, ask: Ask[None, None]) -> ShownLimits:
    return await services.limits.get(ask.id)


async def change(services: Services, ask: Ask[None, ChangeLimits]) -> ShownLimits:
    return await services.limits.change(ask.subject, ask.id, ask.body)
