"""Applications and what is seen of their instances."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.schema import catalogue as wire
from appliance.schema.catalogue import ChangeApplication
from appliance.schema.common import Meta, Page, Status
from appliance.schema.instances import Instance
from appliance.schema.users import Application
from appliance.web.route import Ask
from appliance.web.services import Services

DONE = Status()
# The package whose pages a dashboard is.
DASHBOARD = "@flowfuse/node-red-dashboard"


async def change(services: Services, ask: Ask[None, ChangeApplication]) -> Application:
    await services.catalogue.applications.change(ask.subject, ask.id, ask.body)
    return await services.teams.application(ask.id)


async def remove(services: Services, ask: Ask[None, None]) -> Status:
    await services.catalogue.applications.remove(ask.subject, ask.id)
    return DONE


async def states(services: Services, ask: Ask[None, None]) -> wire.LiveInstances:
    found = _live((await services.instances.application_list(ask.id)).instances)
    return wire.LiveInstances(count=len(found), instances=found)


async def team_states(services: Services, ask: Ask[None, None]) -> wire.LiveApplications:
    """By application, those without instances too."""
    named = (await services.teams.applications(ask.id)).applications
    found = (await services.instances.team_list(ask.id, Page())).projects
    shown = [
        wire.LiveApplication(id=each.id, instances=_live([one for one in found if one.application.id == each.id]))
        for each in named
    ]
    return wire.LiveApplications(count=len(shown), applications=shown)


async def dashboards(services: Services, ask: Ask[None, None]) -> wire.DashboardInstances:
    return _dashboards((await services.instances.application_list(ask.id)).instances)


async def team_dashboards(services: Services, ask: Ask[None, None]) -> wire.DashboardInstances:
    return _dashboards((await services.instances.team_list(ask.id, Page())).projects)


async def devices(services: Services, ask: Ask[Page, None]) -> wire.NoDevices:
    return wire.NoDevices(meta=Meta())


def _live(found: Sequence[Instance]) -> list[wire.LiveInstance]:
    return [wire.LiveInstance(id=each.id, meta=each.meta) for each in found]


def _dashboards(found: Sequence[Instance]) -> wire.DashboardInstances:
    """No more of them than whoever may see the pages only may know."""
    shown = [
        wire.DashboardInstance(
            id=each.id,
            name=each.name,
            url=each.url,
            application={"id": each.application.id, "name": each.application.name},
            settings={"dashboard2UI": "/dashboard"},
            meta=each.meta,
            links=each.links,
        )
        for each in found
        if any(module.get("name") == DASHBOARD for module in each.settings.get("palette", {}).get("modules", []))
    ]
    return wire.DashboardInstances(count=len(shown), projects=shown)
