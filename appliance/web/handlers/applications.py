"""Applications and what is seen of their instances."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET

from appliance.schema import catalogue as wire
from appliance.schema.catalogue import ApplicationsQuery, ChangeApplication, SearchQuery, StatesQuery
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


async def team_states(services: Services, ask: Ask[StatesQuery, None]) -> wire.LiveApplications:
    """By application, those without instances too."""
    named = (await services.teams.applications(ask.id)).applications
    inside = await _by_application(services, ask.id)
    most = ask.query.associations_limit
    shown = [wire.LiveApplication(id=each.id, instances=_live(inside.get(each.id, [])[:most])) for each in named]
    return wire.LiveApplications(count=len(shown), applications=shown)


async def of_team(services: Services, ask: Ask[ApplicationsQuery, None]) -> wire.TeamApplications:
    """Oldest first, those without instances too."""
    named = (await services.teams.applications(ask.id)).applications
    inside = await _by_application(services, ask.id)
    snapshots = await services.snapshots.counts(ask.id)
    query = ask.query
    shown = []
    for each in named:
        found = inside.get(each.id, [])
        summaries = [_summary(one) for one in found[: query.associations_limit]]
        shown.append(
            wire.TeamApplication(
                id=each.id,
                name=each.name,
                description=each.description,
                created_at=each.created_at,
                updated_at=each.updated_at,
                links=each.links,
                instance_count=len(found),
                snapshot_count=snapshots.get(each.id, 0),
                instances=summaries if query.include_instances else UNSET,
                devices=[] if query.include_application_devices else UNSET,
            )
        )
    return wire.TeamApplications(count=len(shown), applications=shown)


async def search(services: Services, ask: Ask[SearchQuery, None]) -> wire.SearchResults:
    """Applications first. Nothing is found by an empty text."""
    words = ask.query.query.strip().lower()
    named = (await services.teams.applications(ask.query.team)).applications if words else []
    found = [
        wire.FoundThing(
            object="application", id=each.id, name=each.name, links=each.links, description=each.description
        )
        for each in named
        if words in each.name.lower() or words == each.id.lower()
    ]
    found += await _instances_with(services, ask.query.team, words)
    return wire.SearchResults(count=len(found), results=found)


async def search_instances(services: Services, ask: Ask[SearchQuery, None]) -> wire.SearchResults:
    """Nothing is found by an empty text."""
    found = await _instances_with(services, ask.query.team, ask.query.query.strip().lower())
    return wire.SearchResults(count=len(found), results=found)


async def _instances_with(services: Services, team_id: str, words: str) -> list[wire.FoundThing]:
    every = (await services.instances.team_list(team_id)).projects if words else []
    return [
        wire.FoundThing(
            object="instance",
            id=each.id,
            name=each.name,
            links=each.links,
            url=each.url,
            application={"id": each.application.id, "name": each.application.name},
            meta=each.meta,
        )
        for each in every
        if words in each.name.lower() or words == each.id
    ]


async def _by_application(services: Services, team_id: str) -> dict[str, list[Instance]]:
    found: dict[str, list[Instance]] = {}
    for each in (await services.instances.team_list(team_id)).projects:
        found.setdefault(each.application.id, []).append(each)
    return found


def _summary(each: Instance) -> wire.InstanceSummary:
    return wire.InstanceSummary(
        id=each.id,
        name=each.name,
        safe_name=each.safe_name,
        url=each.url,
        created_at=each.created_at,
        updated_at=each.updated_at,
        flow_last_updated_at=each.flow_last_updated_at,
        links=each.links,
    )


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
