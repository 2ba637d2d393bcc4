"""Invitations: an owner asks somebody with an account into the team, who accepts or does not."""

from __future__ import annotations

from datetime import timedelta

from msgspec import Struct

from appliance.errors import Forbidden, Invalid, NotFound, TooMany
from appliance.model import Role, Subject
from appliance.schema import members as wire
from appliance.schema.common import Meta
from appliance.services.context import Context, Recorder
from appliance.services.members import Members, existing_team, team_role
from appliance.services.notifications import tell
from appliance.services.people import as_body, team_body, team_summary, user_summary
from appliance.services.subjects import user_of
from appliance.services.team_types import check_room
from appliance.store import invitations, notifications, teams, users
from appliance.store.engine import Tx
from appliance.store.ids import new_id
from appliance.store.invitations import InvitationRow
from appliance.store.teams import TeamRow
from appliance.store.users import UserRow
from appliance.store.values import iso

LIFE = timedelta(days=7)
AT_ONCE = 5
LONGEST_NAMES = 2048


class _Whole(Struct, frozen=True):
    """An invitation with what it names."""

    row: InvitationRow
    team: TeamRow
    invitor: UserRow
    invitee: UserRow


class Invitations:
    """Only people with an account are invited: this box sends no mail."""

    def __init__(self, context: Context, audit: Recorder, members: Members) -> None:
        self._context = context
        self._audit = audit
        self._members = members

    async def every(self) -> wire.Invitations:
        """All open ones of the box."""
        now = self._context.now_ms()
        return self._list(await self._context.store.read(lambda tx: _whole(tx, invitations.every(tx, now))))

    async def of_team(self, team_id: str) -> wire.Invitations:
        """The open ones into a team."""
        now = self._context.now_ms()
        return self._list(await self._context.store.read(lambda tx: _whole(tx, invitations.of_team(tx, team_id, now))))

    async def of_user(self, subject: Subject) -> wire.Invitations:
        """Those that the caller may accept."""
        user_id, now = user_of(subject), self._context.now_ms()
        rows = await self._context.store.read(lambda tx: _whole(tx, invitations.of_invitee(tx, user_id, now)))
        return self._list(rows)

    async def invite(self, subject: Subject, team_id: str, body: wire.Invite) -> wire.Invited:
        """Invite up to five; the answer names those who were not and why.

        Raises Invalid `invalid_team_role`, `invitation_failed` for nobody, TooMany `too_many_invites`.
        """
        role = Role.MEMBER if body.role is None else team_role(body.role)
        names = _names(body.user)
        user_of(subject)

        def work(tx: Tx) -> dict[str, str]:
            team = existing_team(tx, team_id)
            invitations.sweep(tx, self._context.now_ms())
            return {name: why for name in names if (why := self._invite(tx, subject, team, name, role))}

        refused = await self._context.store.write(work)
        return wire.Invited(code="invitation_failed", error=refused) if refused else wire.Invited(status="okay")

    async def resend(self, subject: Subject, team_id: str, invitation_id: str) -> wire.Invitation:
        """Let it begin anew: another week, told once more. Raises NotFound."""

        def work(tx: Tx) -> _Whole:
            now = self._context.now_ms()
            found = self._of_team(tx, team_id, invitation_id)
            invitations.renew(tx, invitation_id, sent_at=now, expires_at=now + _ms(LIFE))
            self._tell(tx, found)
            self._record(tx, "team.user.invite-resent", subject, found)
            (again,) = _whole(tx, [invitations.get(tx, invitation_id, now) or found.row])
            return again

        return self._shown(await self._context.store.write(work))

    async def withdraw(self, subject: Subject, team_id: str, invitation_id: str) -> None:
        """Raises NotFound."""

        def work(tx: Tx) -> None:
            found = self._of_team(tx, team_id, invitation_id)
            self._settle(tx, found)
            self._record(tx, "team.user.uninvited", subject, found)

        await self._context.store.write(work)

    async def accept(self, subject: Subject, invitation_id: str) -> None:
        """Become a member, with the role that was offered.

        Raises NotFound, Forbidden while the team is suspended, Invalid `member_limit_reached`.
        """

        def work(tx: Tx) -> None:
            found = self._mine(tx, subject, invitation_id)
            if found.team.suspended:
                raise Forbidden("The team is suspended.", code="forbidden", hint="Ask an administrator of this box.")
            self._settle(tx, found)
            if not teams.role(tx, found.team.id, found.invitee.id):
                self._members.join(tx, subject, found.team, found.invitee, found.row.role)
            self._tell_invitor(tx, found)
            self._record(tx, "team.user.invite.accepted", subject, found)
            self._record_of_user(tx, "user.invitation.accepted", subject, found)

        await self._context.store.write(work)

    async def reject(self, subject: Subject, invitation_id: str) -> None:
        """Raises NotFound."""

        def work(tx: Tx) -> None:
            found = self._mine(tx, subject, invitation_id)
            self._settle(tx, found)
            self._record(tx, "team.user.invite.rejected", subject, found)
            self._record_of_user(tx, "user.invitation.deleted", subject, found)

        await self._context.store.write(work)

    # Inside a transaction

    def _invite(self, tx: Tx, subject: Subject, team: TeamRow, name: str, role: Role) -> str:
        """Why not; empty when it is done."""
        invitor, invitee = users.get(tx, user_of(subject)), users.by_login(tx, name)
        now = self._context.now_ms()
        if invitee is None or invitor is None:
            return "This box knows nobody of that name; an administrator can make an account."
        if teams.role(tx, team.id, invitee.id):
            return "Belongs to the team already."
        open_ones = invitations.of_team(tx, team.id, now)
        if any(each.invitee_id == invitee.id for each in open_ones):
            return "Is invited already."
        try:
            check_room(tx, team.id, team.type_id, further=len(open_ones) + 1)
        except Invalid as error:
            return error.message
        row = InvitationRow(new_id(), team.id, invitor.id, invitee.id, role, now, now, now + _ms(LIFE))
        invitations.add(tx, row)
        found = _Whole(row, team, invitor, invitee)
        self._tell(tx, found)
        self._record(tx, "team.user.invited", subject, found)
        return ""

    def _of_team(self, tx: Tx, team_id: str, invitation_id: str) -> _Whole:
        row = invitations.get(tx, invitation_id, self._context.now_ms())
        found = _whole(tx, [row] if row is not None and row.team_id == team_id else [])
        if not found:
            raise NotFound("There is no such invitation into this team.")
        return found[0]

    def _mine(self, tx: Tx, subject: Subject, invitation_id: str) -> _Whole:
        row = invitations.get(tx, invitation_id, self._context.now_ms())
        found = _whole(tx, [row] if row is not None and row.invitee_id == user_of(subject) else [])
        if not found:
            raise NotFound("There is no such invitation for you; it may have ended.")
        return found[0]

    def _settle(self, tx: Tx, found: _Whole) -> None:
        invitations.remove(tx, found.row.id)
        notifications.forget(tx, found.invitee.id, _reference(found))

    def _tell(self, tx: Tx, found: _Whole) -> None:
        data = {
            "invite": {"id": found.row.id},
            "team": {"id": found.team.id, "name": found.team.name},
            "invitor": {"id": found.invitor.id, "username": found.invitor.username},
            "role": int(found.row.role),
        }
        tell(tx, found.invitee.id, "team-invite", _reference(found), data, at=self._context.now_ms())

    def _tell_invitor(self, tx: Tx, found: _Whole) -> None:
        data = {
            "team": {"id": found.team.id, "name": found.team.name},
            "invitee": {"id": found.invitee.id, "username": found.invitee.username},
            "role": int(found.row.role),
        }
        reference = f"team-invite-accepted-invitor:{found.row.id}"
        at = self._context.now_ms()
        tell(tx, found.invitor.id, "team-invite-accepted-invitor", reference, data, at=at)

    def _record(self, tx: Tx, event: str, subject: Subject, found: _Whole) -> None:
        body = {"team": team_body(found.team), "user": as_body(found.invitee), "role": int(found.row.role)}
        team_id = found.team.id
        self._audit.record(tx, event, subject=subject, scope_type="team", scope_id=team_id, team_id=team_id, body=body)

    def _record_of_user(self, tx: Tx, event: str, subject: Subject, found: _Whole) -> None:
        body = {"team": team_body(found.team), "role": int(found.row.role)}
        self._audit.record(tx, event, subject=subject, scope_type="user", scope_id=found.invitee.id, body=body)

    def _list(self, found: list[_Whole]) -> wire.Invitations:
        shown = [self._shown(each) for each in found]
        return wire.Invitations(meta=Meta(), count=len(shown), invitations=shown)

    def _shown(self, found: _Whole) -> wire.Invitation:
        base_url = self._context.base_url()
        return wire.Invitation(
            id=found.row.id,
            role=int(found.row.role),
            created_at=iso(found.row.created_at),
            expires_at=iso(found.row.expires_at),
            sent_at=iso(found.row.sent_at),
            team=team_summary(found.team, base_url),
            invitor=user_summary(found.invitor, base_url),
            invitee=user_summary(found.invitee, base_url),
        )


def _whole(tx: Tx, rows: list[InvitationRow]) -> list[_Whole]:
    found = []
    for row in rows:
        team = teams.get(tx, row.team_id)
        invitor, invitee = users.get(tx, row.invitor_id), users.get(tx, row.invitee_id)
        if team is not None and invitor is not None and invitee is not None:
            found.append(_Whole(row, team, invitor, invitee))
    return found


def _names(text: str) -> list[str]:
    given = [name.strip() for name in text[:LONGEST_NAMES].split(",")]
    names = list({name.lower(): name for name in given if name}.values())
    if not names:
        raise Invalid("Nobody is named.", code="invitation_failed", hint="Send {user: 'name, name'}.")
    if len(names) > AT_ONCE:
        raise TooMany(
            f"At most {AT_ONCE} people are invited at once.",
            retry_after_s=1,
            code="too_many_invites",
            hint="Send fewer.",
        )
    return names


def _reference(found: _Whole) -> str:
    return f"team-invite:{found.row.id}"


def _ms(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)
