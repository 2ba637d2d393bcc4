"""Where Node-RED and its launcher report what happened."""

from __future__ import annotations

from appliance.web.route import Ask
from appliance.web.services import Services


async def audit(services: Services, ask: Ask[None, bytes]) -> None:
    """Recorded as said by whoever's token it was."""
    await services.audit.from_node(ask.id, ask.body, ask.subject.kind, ask.header("x-weir-request"))
