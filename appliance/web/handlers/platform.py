"""The platform: settings, licence, statistics, its audit log, announcements; and types of teams."""

from __future__ import annotations

from typing import Any

from appliance.errors import Invalid
from appliance.schema.audit import AuditPage
from appliance.schema.common import AuditQuery, Status
from appliance.schema.members import Announce, Announced, Invitations
from appliance.schema.platform import ApplyLicense, StatsToken
from appliance.schema.team_types import ChangeTeamType, CreateTeamType, TeamType, TeamTypes, TypesQuery
from appliance.services import statistics
from appliance.web.bodies import struct
from appliance.web.csv import sheet
from appliance.web.route import Ask, Reply
from appliance.web.services import Services

DONE = Status()
METRICS = f"{statistics.OPEN_METRICS}; version=1.0.0; charset=utf-8"


async def settings(services: Services, ask: Ask[None, None]) -> dict[str, Any]:
    """A little for strangers, more with a token, most for administrators."""
    return await services.directory.settings.shown(ask.subject)


async def change_settings(services: Services, ask: Ask[None, bytes]) -> Status:
    """An object of settings by name; all of it or nothing."""
    await services.directory.settings.change(ask.subject, struct(ask.body, dict[str, Any]))
    return DONE


async def stats(services: Services, ask: Ask[None, None]) -> Any:
    """JSON, or OpenMetrics where the client asks for that."""
    numbers = await services.directory.statistics.now()
    if statistics.OPEN_METRICS in (ask.header("Accept") or ""):
        return Reply(statistics.open_metrics(numbers), METRICS)
    return numbers


async def new_stats_token(services: Services, ask: Ask[None, None]) -> StatsToken:
    return await services.directory.statistics.new_token(ask.subject)


async def end_stats_token(services: Services, ask: Ask[None, None]) -> Status:
    await services.directory.statistics.end_token(ask.subject)
    return DONE


async def license_(services: Services, ask: Ask[None, None]) -> dict[str, Any]:
    """Empty: Weir needs none."""
    return {}


async def apply_license(services: Services, ask: Ask[None, ApplyLicense]) -> dict[str, Any]:
    """Always refused: there is nothing that a licence would change."""
    if ask.body.action not in ("apply", "inspect"):
        raise Invalid("The action is apply or inspect.", code="invalid_license_action", hint="Weir needs no licence.")
    raise Invalid("This is no licence of Weir, which needs none.", code="invalid_license", hint="Go on without.")


async def invitations(services: Services, ask: Ask[None, None]) -> Invitations:
    return await services.directory.invitations.every()


async def audit_log(services: Services, ask: Ask[AuditQuery, None]) -> AuditPage:
    return await services.audit.page("box", None, ask.query)


async def export_audit_log(services: Services, ask: Ask[AuditQuery, None]) -> Reply:
    return sheet(await services.audit.page("box", None, ask.query))


async def announce(services: Services, ask: Ask[None, Announce]) -> Announced:
    return await services.directory.notifications.announce(ask.subject, ask.body)


async def team_types(services: Services, ask: Ask[TypesQuery, None]) -> TeamTypes:
    return await services.directory.team_types.page(ask.subject, ask.query)


async def team_type(services: Services, ask: Ask[None, None]) -> TeamType:
    return await services.directory.team_types.get(ask.subject, ask.id)


async def create_team_type(services: Services, ask: Ask[None, CreateTeamType]) -> TeamType:
    return await services.directory.team_types.create(ask.subject, ask.body)


async def change_team_type(services: Services, ask: Ask[None, ChangeTeamType]) -> TeamType:
    return await services.directory.team_types.change(ask.subject, ask.id, ask.body)


async def remove_team_type(services: Services, ask: Ask[None, None]) -> Status:
    await services.directory.team_types.remove(ask.subject, ask.id)
    return DONE
