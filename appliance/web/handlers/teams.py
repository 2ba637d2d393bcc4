"""Teams and their applications."""

from __future__ import annotations

from appliance.schema.audit import AuditPage
from appliance.schema.common import AuditQuery, Page
from appliance.schema.instances import ApplicationInstances, TeamInstances
from appliance.schema.users import Application, Applications, CreateApplication, Team, Teams, TeamUser
from appliance.web.route import Ask
from appliance.web.services import Services


async def list_all(services: Services, ask: Ask[Page, None]) -> Teams:
    return await services.teams.teams(ask.query)


async def show(services: Services, ask: Ask[None, None]) -> Team:
    return await services.teams.team(ask.id)


async def my_role(services: Services, ask: Ask[None, None]) -> TeamUser:
    return await services.teams.team_user(ask.id, ask.subject)


async def instances(services: Services, ask: Ask[Page, None]) -> TeamInstances:
    return await services.instances.team_list(ask.id, ask.query)


async def applications(services: Services, ask: Ask[None, None]) -> Applications:
    return await services.teams.applications(ask.id)


async def audit_log(services: Services, ask: Ask[AuditQuery, None]) -> AuditPage:
    return await services.audit.page("team", ask.id, ask.query)


async def create_application(services: Services, ask: Ask[None, CreateApplication]) -> Application:
    return await services.teams.create_application(ask.subject, ask.body)


async def application(services: Services, ask: Ask[None, None]) -> Application:
    return await services.teams.application(ask.id)


async def application_instances(services: Services, ask: Ask[None, None]) -> ApplicationInstances:
    return await services.instances.application_list(ask.id)
