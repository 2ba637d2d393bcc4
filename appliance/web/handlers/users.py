"""The user who asks."""

from __future__ import annotations

from appliance.errors import NotFound
from appliance.model import Subject
from appliance.schema.users import CreateToken, TokenCreated, User, UserTeams
from appliance.web.route import Ask
from appliance.web.services import Services


async def me(services: Services, ask: Ask[None, None]) -> User:
    return await services.accounts.user(user_id(ask.subject))


async def my_teams(services: Services, ask: Ask[None, None]) -> UserTeams:
    return await services.accounts.user_teams(user_id(ask.subject), ask.subject.team_ids)


async def create_token(services: Services, ask: Ask[None, CreateToken]) -> TokenCreated:
    wanted = ask.body
    return await services.tokens.create_personal(
        ask.subject,
        wanted.name,
        expires_at=wanted.expires_at,
        read_only=wanted.read_only,
        admin_opt_in=wanted.admin_opt_in,
        team_ids=wanted.team_ids,
    )


def user_id(subject: Subject) -> str:
    """The subject's user; NotFound for the box's own account before there is a user."""
    if subject.user_id is None:
        raise NotFound("there is no user behind this credential")
    return subject.user_id
