"""Invitations into teams, for people who have an account."""

from __future__ import annotations

from msgspec import Struct
from sqlalchemy import bindparam, delete, func, insert, select, update

from appliance.model import Role
from appliance.store.engine import Row, Tx
from appliance.store.tables import invitations


class InvitationRow(Struct, frozen=True):
    """Who invited whom into which team; past `expires_at` it is worth nothing. Milliseconds."""

    id: str
    team_id: str
    invitor_id: str
    invitee_id: str
    role: Role
    created_at: int
    sent_at: int
    expires_at: int


_i = invitations.c
_ALIVE = select(invitations).where(_i.expires_at > bindparam("now")).order_by(_i.seq)
_BY_ID = _ALIVE.where(_i.id == bindparam("invitation"))
_OF_TEAM = _ALIVE.where(_i.team_id == bindparam("team"))
_OF_INVITEE = _ALIVE.where(_i.invitee_id == bindparam("user"))
_COUNT = select(func.count().label("count")).where(_i.expires_at > bindparam("now"))
_INSERT = insert(invitations)
_RENEW = update(invitations).where(_i.id == bindparam("invitation"))
_DELETE = delete(invitations).where(_i.id == bindparam("invitation"))
_SWEEP = delete(invitations).where(_i.expires_at <= bindparam("now"))


def add(tx: Tx, new: InvitationRow) -> None:
    """Raises Conflict when this person is invited into this team already."""
    tx.run(
        _INSERT,
        id=new.id,
        team_id=new.team_id,
        invitor_id=new.invitor_id,
        invitee_id=new.invitee_id,
        role=int(new.role),
        created_at=new.created_at,
        sent_at=new.sent_at,
        expires_at=new.expires_at,
    )


def get(tx: Tx, invitation_id: str, now: int) -> InvitationRow | None:
    """By id; None when it has ended."""
    row = tx.one(_BY_ID, invitation=invitation_id, now=now)
    return _invitation(row) if row else None


def every(tx: Tx, now: int) -> list[InvitationRow]:
    """All that are open, oldest first."""
    return [_invitation(row) for row in tx.all(_ALIVE, now=now)]


def of_team(tx: Tx, team_id: str, now: int) -> list[InvitationRow]:
    """The open ones into a team, oldest first."""
    return [_invitation(row) for row in tx.all(_OF_TEAM, team=team_id, now=now)]


def of_invitee(tx: Tx, user_id: str, now: int) -> list[InvitationRow]:
    """The open ones that somebody may accept, oldest first."""
    return [_invitation(row) for row in tx.all(_OF_INVITEE, user=user_id, now=now)]


def count(tx: Tx, now: int) -> int:
    """How many are open."""
    row = tx.one(_COUNT, now=now)
    return int(row["count"]) if row else 0


def renew(tx: Tx, invitation_id: str, *, sent_at: int, expires_at: int) -> None:
    """Sent once more."""
    tx.run(_RENEW, invitation=invitation_id, sent_at=sent_at, expires_at=expires_at)


def remove(tx: Tx, invitation_id: str) -> None:
    """Drop it."""
    tx.run(_DELETE, invitation=invitation_id)


def sweep(tx: Tx, now: int) -> None:
    """Drop those that have ended."""
    tx.run(_SWEEP, now=now)


def _invitation(row: Row) -> InvitationRow:
    return InvitationRow(
        id=row["id"],
        team_id=row["team_id"],
        invitor_id=row["invitor_id"],
        invitee_id=row["invitee_id"],
        role=Role(row["role"]),
        created_at=row["created_at"],
        sent_at=row["sent_at"],
        expires_at=row["expires_at"],
    )
