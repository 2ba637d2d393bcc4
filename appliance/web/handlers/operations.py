"""Looking after the box: maintenance, alerts, metrics, wear."""

from __future__ import annotations

from appliance.errors import NotFound
from appliance.schema.operations import AlertsStatus, AlertsTested, Maintenance, SetMaintenance, WearReport
from appliance.services.metrics import MEDIA, Metrics
from appliance.web.route import Ask, Reply
from appliance.web.services import Services


async def maintenance(services: Services, ask: Ask[None, None]) -> Maintenance:
    return services.operations.maintenance.shown()


async def set_maintenance(services: Services, ask: Ask[None, SetMaintenance]) -> Maintenance:
    return await services.operations.maintenance.set(ask.subject, on=ask.body.on, reason=ask.body.reason)


async def alerts(services: Services, ask: Ask[None, None]) -> AlertsStatus:
    return services.operations.alerts.status()


async def test_alerts(services: Services, ask: Ask[None, None]) -> AlertsTested:
    return await services.operations.test_alerts(ask.subject)


async def wear(services: Services, ask: Ask[None, None]) -> WearReport:
    return await services.operations.worn(ask.subject)


async def metrics(services: Services, ask: Ask[None, None]) -> Reply:
    """Not through the web server, unless that was switched on: the network need not know that it is there."""
    transport = ask.request.transport
    by_web = transport is not None and transport.get_extra_info("sockname") == str(services.home.web_socket)
    if by_web and not services.config.metrics.public:
        hint = "Ask at the appliance's own port on the box, or set metrics.public = true in config.toml."
        raise NotFound("The metrics are not shown to the network.", hint=hint)
    wanted = Metrics(
        status=services.box.status,
        machine=services.box.machine,
        instances=services.instances.list,
        per_day=services.operations.wear.per_day,
    )
    return Reply(await wanted.text(), MEDIA)
