"""Accounts, as administrators keep them."""

from __future__ import annotations

from appliance.schema.common import Page, Status
from appliance.schema.users import ChangeUser, CreateUser, Recovery, User, Users, UserTeams
from appliance.web.route import Ask
from appliance.web.services import Services

DONE = Status()


async def list_all(services: Services, ask: Ask[Page, None]) -> Users:
    return await services.directory.users.page(ask.query)


async def show(services: Services, ask: Ask[None, None]) -> User:
    """By id; administrators may also give a user name or an e-mail address."""
    return await services.directory.users.named(ask.id)


async def create(services: Services, ask: Ask[None, CreateUser]) -> User:
    return await services.directory.users.create(ask.subject, ask.body)


async def change(services: Services, ask: Ask[None, ChangeUser]) -> User:
    return await services.directory.users.change(ask.subject, ask.id, ask.body)


async def remove(services: Services, ask: Ask[None, None]) -> Status:
    await services.directory.users.remove(ask.subject, ask.id)
    return DONE


async def teams(services: Services, ask: Ask[None, None]) -> UserTeams:
    user = await services.accounts.user(ask.id)
    return await services.accounts.user_teams(user.id, ask.subject.team_ids)


async def reset_password(services: Services, ask: Ask[None, None]) -> Recovery:
    return await services.directory.recovery.issue(ask.subject, ask.id)
