"""The user who asks: his account, tokens, invitations and notifications."""

from __future__ import annotations

from appliance.auth.permissions import granted
from appliance.model import Role
from appliance.schema import members as wire
from appliance.schema.common import Page, Status
from appliance.schema.members import MarkNotification, MarkNotifications
from appliance.schema.users import (
    ChangeOwnUser,
    ChangePassword,
    ChangeToken,
    CreateToken,
    OwnPermissions,
    TokenCreated,
    TokenList,
    TokenSummary,
    User,
    UserTeams,
)
from appliance.services.subjects import user_of
from appliance.web.route import Ask
from appliance.web.services import Services

DONE = Status()


async def me(services: Services, ask: Ask[None, None]) -> User:
    return await services.accounts.user(user_of(ask.subject))


async def my_teams(services: Services, ask: Ask[None, None]) -> UserTeams:
    return await services.accounts.user_teams(user_of(ask.subject), ask.subject.team_ids)


async def permissions(services: Services, ask: Ask[None, None]) -> OwnPermissions:
    subject = ask.subject
    found = await services.accounts.user_teams(user_of(subject), subject.team_ids)
    teams = {team.id: team.role for team in found.teams}
    if subject.admin and subject.team_ids is not None:  # an administrator, but in these teams only
        teams = dict.fromkeys(subject.team_ids, int(Role.ADMIN))
    whole = subject.admin and subject.team_ids is None
    return OwnPermissions(admin=whole, permissions=granted(subject), teams=teams)


async def change_me(services: Services, ask: Ask[None, ChangeOwnUser]) -> User:
    return await services.directory.users.change(ask.subject, user_of(ask.subject), ask.body)


async def remove_me(services: Services, ask: Ask[None, None]) -> Status:
    await services.directory.users.remove(ask.subject, user_of(ask.subject))
    return DONE


async def change_password(services: Services, ask: Ask[None, ChangePassword]) -> Status:
    await services.directory.users.change_password(ask.subject, ask.body)
    return DONE


async def tokens(services: Services, ask: Ask[None, None]) -> TokenList:
    return await services.directory.tokens.of_user(ask.subject)


async def create_token(services: Services, ask: Ask[None, CreateToken]) -> TokenCreated:
    return await make_token(services, ask, None)


async def create_token_for(services: Services, ask: Ask[None, CreateToken]) -> TokenCreated:
    """For the account in the path, by an administrator on the box."""
    return await make_token(services, ask, ask.id)


async def make_token(services: Services, ask: Ask[None, CreateToken], for_user: str | None) -> TokenCreated:
    wanted = ask.body
    return await services.directory.tokens.create(
        ask.subject,
        wanted.name,
        expires_at=wanted.expires_at,
        read_only=wanted.read_only,
        admin_opt_in=wanted.admin_opt_in,
        team_ids=wanted.team_ids,
        for_user=for_user,
    )


async def change_token(services: Services, ask: Ask[None, ChangeToken]) -> TokenSummary:
    return await services.directory.tokens.change(ask.subject, ask.id, ask.body)


async def remove_token(services: Services, ask: Ask[None, None]) -> None:
    await services.directory.tokens.remove(ask.subject, ask.id)


async def invitations(services: Services, ask: Ask[None, None]) -> wire.Invitations:
    return await services.directory.invitations.of_user(ask.subject)


async def accept(services: Services, ask: Ask[None, None]) -> Status:
    await services.directory.invitations.accept(ask.subject, ask.id)
    return DONE


async def reject(services: Services, ask: Ask[None, None]) -> Status:
    await services.directory.invitations.reject(ask.subject, ask.id)
    return DONE


async def notifications(services: Services, ask: Ask[Page, None]) -> wire.Notifications:
    return await services.directory.notifications.page(ask.subject, ask.query)


async def mark_notifications(services: Services, ask: Ask[None, MarkNotifications]) -> wire.Notifications:
    return await services.directory.notifications.mark(ask.subject, ask.body)


async def mark_notification(services: Services, ask: Ask[None, MarkNotification]) -> Status:
    await services.directory.notifications.mark_one(ask.subject, ask.id, ask.body.read)
    return DONE


async def remove_notification(services: Services, ask: Ask[None, None]) -> Status:
    await services.directory.notifications.remove(ask.subject, ask.id)
    return DONE
