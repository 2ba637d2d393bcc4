"""Who is reached by a message to many."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import bindparam, or_, select

from appliance.model import Role
from appliance.store.engine import Tx
from appliance.store.tables import memberships, users

_ALL = select(users.c.id).where(users.c.suspended == 0).order_by(users.c.seq)
_WITH_ROLES = _ALL.where(
    or_(
        users.c.id.in_(select(memberships.c.user_id).where(memberships.c.role.in_(bindparam("roles", expanding=True)))),
        users.c.admin == bindparam("admins"),
    )
)
_OF_TEAM = (
    select(users.c.id)
    .join_from(memberships, users, users.c.id == memberships.c.user_id)
    .where(memberships.c.team_id == bindparam("team"), memberships.c.role >= bindparam("least"))
    .where(users.c.suspended == 0)
    .order_by(memberships.c.seq)
)


def with_roles(tx: Tx, roles: Iterable[int] | None) -> list[str]:
    """Ids of all not suspended who have one of the roles in some team, or are administrators (99); None: all."""
    if roles is None:
        return [row["id"] for row in tx.all(_ALL)]
    wanted = sorted(roles)
    # No account has 2 there: nobody is added for being an administrator.
    admins = 1 if int(Role.ADMIN) in wanted else 2
    return [row["id"] for row in tx.all(_WITH_ROLES, roles=wanted, admins=admins)]


def of_team(tx: Tx, team_id: str, *, least: Role) -> list[str]:
    """Ids of a team's members with at least this role who are not suspended."""
    return [row["id"] for row in tx.all(_OF_TEAM, team=team_id, least=int(least))]
