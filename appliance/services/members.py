"""Who belongs to a team, and with which role."""

from __future__ import annotations

from msgspec import UNSET

from appliance.errors import Forbidden, Invalid, NotFound
from appliance.events import Event
from appliance.model import Role, Subject
from appliance.schema import members as wire
from appliance.schema.common import Meta
from appliance.services.context import Context, Recorder
from appliance.services.people import as_body, team_body, user_summary
from appliance.services.team_types import check_room
from appliance.store import invitations, members, notifications, teams, users
from appliance.store.engine import Tx
from appliance.store.members import Member
from appliance.store.teams import TeamRow
from appliance.store.users import UserRow

TEAM_ROLES = (Role.DASHBOARD, Role.VIEWER, Role.MEMBER, Role.OWNER)


class Members:
    """Changes are in force at once: rights, tokens and editors are looked at again. A team keeps an owner."""

    def __init__(self, context: Context, audit: Recorder) -> None:
        self._context = context
        self._audit = audit

    async def of_team(self, team_id: str) -> wire.TeamMembers:
        """All members, in the order in which they came."""
        found = await self._context.store.read(lambda tx: members.of_team(tx, team_id))
        shown = [self._shown(member) for member in found]
        return wire.TeamMembers(meta=Meta(), count=len(shown), members=shown)

    async def add(self, subject: Subject, team_id: str, body: wire.AddMember) -> wire.TeamMember:
        """Make somebody a member without asking him; for administrators.

        Raises NotFound, Invalid for a role that teams don't have, for somebody who is one already, and without room.
        """
        role = team_role(body.role)

        def work(tx: Tx) -> Member:
            team = existing_team(tx, team_id)
            user = users.get(tx, body.user) or users.by_login(tx, body.user)
            if user is None:
                raise NotFound(f"There is no user '{body.user[:80]}'.", hint="weir user list shows them.")
            if teams.role(tx, team_id, user.id):
                raise Invalid(f"{user.username} belongs to the team already.", hint="Change the role instead.")
            self.join(tx, subject, team, user, role)
            return Member(user, role)

        return self._shown(await self._context.store.write(work))

    async def change(self, subject: Subject, team_id: str, user_id: str, body: wire.ChangeMember) -> None:
        """Give a member another role. Raises NotFound, Invalid, Forbidden `invalid_request` for the last owner."""
        if (body.role is UNSET) == (body.permissions is UNSET):
            raise Invalid("Send a role or permissions: one of the two.", hint="Send {role}.")
        if body.role is UNSET:
            raise Invalid("Roles of single applications are not known to this box.", hint="Send {role}.")
        await self.set_role(subject, team_id, user_id, team_role(body.role))

    async def set_role(self, subject: Subject, team_id: str, user_id: str, role: Role) -> None:
        """Give a member another role. Raises NotFound, Forbidden `invalid_request` for the last owner."""

        def work(tx: Tx) -> None:
            team, user, before = self._member(tx, team_id, user_id)
            if role is before:
                return
            if before is Role.OWNER and teams.owner_count(tx, team_id) == 1:
                raise Forbidden(
                    f"{user.username} is the only owner of the team.",
                    code="invalid_request",
                    hint="Make somebody else an owner first.",
                )
            teams.set_role(tx, team_id, user_id, role)
            self._announce(tx, team_id, user_id)
            changed = [{"key": "role", "old": before.name.lower(), "new": role.name.lower(), "dif": "updated"}]
            self._record(tx, "team.user.role-changed", subject, team, user, role, updates=changed)

        await self._context.store.write(work)

    async def remove(self, subject: Subject, team_id: str, user_id: str) -> None:
        """End a membership. Raises NotFound, Invalid for the last owner."""

        def work(tx: Tx) -> None:
            team, user, before = self._member(tx, team_id, user_id)
            if before is Role.OWNER and teams.owner_count(tx, team_id) == 1:
                raise Invalid(
                    f"{user.username} is the only owner of the team.", hint="Make somebody else an owner first."
                )
            members.remove(tx, team_id, user_id)
            members.end_editors(tx, team_id, user_id)
            users.leave_team(tx, team_id, user_id)
            self._announce(tx, team_id, user_id)
            self._record(tx, "team.user.removed", subject, team, user, before)

        await self._context.store.write(work)

    def join(self, tx: Tx, subject: Subject, team: TeamRow, user: UserRow, role: Role) -> None:
        """Make somebody a member inside a transaction. Raises Invalid `member_limit_reached`."""
        check_room(tx, team.id, team.type_id)
        teams.set_role(tx, team.id, user.id, role)
        for open_one in invitations.of_invitee(tx, user.id, self._context.now_ms()):
            if open_one.team_id == team.id:
                invitations.remove(tx, open_one.id)
                notifications.forget(tx, user.id, f"team-invite:{open_one.id}")
        self._announce(tx, team.id, user.id)
        self._record(tx, "team.user.added", subject, team, user, role)

    def _member(self, tx: Tx, team_id: str, user_id: str) -> tuple[TeamRow, UserRow, Role]:
        team, user = existing_team(tx, team_id), users.get(tx, user_id)
        role = teams.role(tx, team_id, user_id)
        if user is None or role is Role.NONE:
            raise NotFound("There is no such member of the team.")
        return team, user, role

    def _announce(self, tx: Tx, team_id: str, user_id: str) -> None:
        # Tokens are looked at again, and so are roles: both caches drop what names this user.
        tx.after_commit(Event("token.revoked", user_id, team_id))

    def _record(
        self, tx: Tx, event: str, subject: Subject, team: TeamRow, user: UserRow, role: Role, **more: object
    ) -> None:
        body = {"team": team_body(team), "user": as_body(user), "role": int(role), **more}
        self._audit.record(tx, event, subject=subject, scope_type="team", scope_id=team.id, team_id=team.id, body=body)

    def _shown(self, member: Member) -> wire.TeamMember:
        summary = user_summary(member.user, self._context.base_url())
        fields = {name: getattr(summary, name) for name in summary.__struct_fields__}
        return wire.TeamMember(**fields, role=int(member.role))


def team_role(number: int) -> Role:
    """Raises Invalid `invalid_team_role` unless teams have such a role."""
    for role in TEAM_ROLES:
        if role == number:
            return role
    raise Invalid(f"{number} is not a team role.", code="invalid_team_role", hint="Use 5, 10, 30 or 50.")


def existing_team(tx: Tx, team_id: str) -> TeamRow:
    """Raises NotFound."""
    team = teams.get(tx, team_id)
    if team is None:
        raise NotFound("There is no such team.")
    return team
