"""Teams, who belongs to them, and their applications."""

from __future__ import annotations

import msgspec

from appliance.errors import Unavailable
from appliance.schema import members as wire
from appliance.schema.audit import AuditPage
from appliance.schema.common import AuditQuery, Page, Status
from appliance.schema.instances import ApplicationInstances, TeamInstances, TeamInstancesQuery
from appliance.schema.members import AddMember, ChangeMember, Invite
from appliance.schema.users import (
    Application,
    ChangeTeam,
    CheckSlug,
    CountQuery,
    CreateApplication,
    CreateTeam,
    Team,
    Teams,
    TeamSummary,
    TeamUser,
)
from appliance.services.team_life import count_states
from appliance.web.csv import sheet
from appliance.web.route import Ask, Reply
from appliance.web.services import Services

DONE = Status()


async def list_all(services: Services, ask: Ask[Page, None]) -> Teams:
    return await services.teams.teams(ask.query)


async def show(services: Services, ask: Ask[None, None]) -> Team | TeamSummary:
    return await services.teams.seen(ask.id, ask.subject)


async def check_slug(services: Services, ask: Ask[None, CheckSlug]) -> Status:
    await services.directory.teams.check_slug(ask.body.slug)
    return DONE


async def create(services: Services, ask: Ask[None, CreateTeam]) -> Team:
    return await services.teams.team(await services.directory.teams.create(ask.subject, ask.body))


async def change(services: Services, ask: Ask[None, ChangeTeam]) -> Team:
    await services.directory.teams.change(ask.subject, ask.id, ask.body)
    return await services.teams.team(ask.id)


async def remove(services: Services, ask: Ask[None, None]) -> Status:
    await services.directory.teams.remove(ask.subject, ask.id)
    return DONE


async def instance_counts(services: Services, ask: Ask[CountQuery, None]) -> dict[str, int]:
    """By the state they show; with `state`, those states only."""
    found = await services.instances.team_list(ask.id, Page())
    return count_states(found.projects, ask.query)


async def comms_credentials(services: Services, ask: Ask[None, None]) -> Status:
    """This box has no message broker."""
    raise Unavailable("This box has no message broker.", code="comms_unavailable", hint="Go on without live updates.")


async def members(services: Services, ask: Ask[None, None]) -> wire.TeamMembers:
    return await services.directory.members.of_team(ask.id)


async def add_member(services: Services, ask: Ask[None, AddMember]) -> wire.TeamMember:
    """Without asking him; others are invited."""
    return await services.directory.members.add(ask.subject, ask.id, ask.body)


async def change_member(services: Services, ask: Ask[None, ChangeMember]) -> Status:
    await services.directory.members.change(ask.subject, ask.id, ask.params["user"], ask.body)
    return DONE


async def remove_member(services: Services, ask: Ask[None, None]) -> Status:
    """Oneself too."""
    await services.directory.members.remove(ask.subject, ask.id, ask.params["user"])
    return DONE


async def invitations(services: Services, ask: Ask[None, None]) -> wire.Invitations:
    return await services.directory.invitations.of_team(ask.id)


async def invite(services: Services, ask: Ask[None, Invite]) -> wire.Invited:
    return await services.directory.invitations.invite(ask.subject, ask.id, ask.body)


async def resend_invitation(services: Services, ask: Ask[None, None]) -> wire.Invitation:
    return await services.directory.invitations.resend(ask.subject, ask.id, ask.params["invitation"])


async def withdraw_invitation(services: Services, ask: Ask[None, None]) -> Status:
    await services.directory.invitations.withdraw(ask.subject, ask.id, ask.params["invitation"])
    return DONE


async def my_role(services: Services, ask: Ask[None, None]) -> TeamUser:
    return await services.teams.team_user(ask.id, ask.subject)


async def instances(services: Services, ask: Ask[TeamInstancesQuery, None]) -> TeamInstances:
    page: Page = ask.query
    if ask.query.order_by_most_recent_flows and page.sort is None:
        page = msgspec.structs.replace(page, sort="flowLastUpdatedAt", dir="desc")
    return await services.instances.team_list(ask.id, page, states=ask.query.state)


async def audit_log(services: Services, ask: Ask[AuditQuery, None]) -> AuditPage:
    return await services.audit.page("team", ask.id, ask.query)


async def export_audit_log(services: Services, ask: Ask[AuditQuery, None]) -> Reply:
    return sheet(await services.audit.page("team", ask.id, ask.query))


async def application_audit_log(services: Services, ask: Ask[AuditQuery, None]) -> AuditPage:
    return await services.audit.page("application", ask.id, ask.query)


async def export_application_audit_log(services: Services, ask: Ask[AuditQuery, None]) -> Reply:
    return sheet(await services.audit.page("application", ask.id, ask.query))


async def export_instance_audit_log(services: Services, ask: Ask[AuditQuery, None]) -> Reply:
    return sheet(await services.audit.page("project", ask.id, ask.query))


async def create_application(services: Services, ask: Ask[None, CreateApplication]) -> Application:
    return await services.teams.create_application(ask.subject, ask.body)


async def application(services: Services, ask: Ask[None, None]) -> Application:
    return await services.teams.application(ask.id)


async def application_instances(services: Services, ask: Ask[None, None]) -> ApplicationInstances:
    return await services.instances.application_list(ask.id)
