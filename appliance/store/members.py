"""Who belongs to which team, with the accounts beside the memberships."""

from __future__ import annotations

from msgspec import Struct
from sqlalchemy import bindparam, delete, func, select

from appliance.model import Role
from appliance.store import users
from appliance.store.engine import Tx
from appliance.store.tables import instances, memberships, teams, tokens
from appliance.store.tables import users as people
from appliance.store.tokens import OF_EDITORS
from appliance.store.users import UserRow


class Member(Struct, frozen=True):
    """An account and what it is in the team."""

    user: UserRow
    role: Role


_m = memberships.c
_OF_TEAM = (
    select(people, _m.role)
    .join_from(memberships, people, people.c.id == _m.user_id)
    .where(_m.team_id == bindparam("team"))
    .order_by(_m.seq)
)
_ROLES = select(_m.user_id, _m.role).where(_m.team_id == bindparam("team"))
_COUNT = select(func.count().label("count")).where(_m.team_id == bindparam("team"))
_LEAVE = delete(memberships).where(_m.team_id == bindparam("team"), _m.user_id == bindparam("user"))
_OTHER_OWNERS = memberships.alias("others")
# Teams that would be left without an owner.
_SOLE = (
    select(teams.c.name)
    .join_from(memberships, teams, teams.c.id == _m.team_id)
    .where(
        _m.user_id == bindparam("user"),
        _m.role == int(Role.OWNER),
        ~select(_OTHER_OWNERS.c.seq)
        .where(
            _OTHER_OWNERS.c.team_id == _m.team_id,
            _OTHER_OWNERS.c.role == int(Role.OWNER),
            _OTHER_OWNERS.c.user_id != _m.user_id,
        )
        .exists(),
    )
    .order_by(teams.c.seq)
)
_IN_TEAM = select(instances.c.id).where(instances.c.team_id == bindparam("team"))
_END_EDITORS = delete(tokens).where(
    tokens.c.user_id == bindparam("user"), tokens.c.kind.in_(OF_EDITORS), tokens.c.instance_id.in_(_IN_TEAM)
)
_END_TEAM_EDITORS = delete(tokens).where(tokens.c.kind.in_(OF_EDITORS), tokens.c.instance_id.in_(_IN_TEAM))


def of_team(tx: Tx, team_id: str) -> list[Member]:
    """The members, in the order in which they came."""
    return [Member(users.of(row), Role(row["role"])) for row in tx.all(_OF_TEAM, team=team_id)]


def roles(tx: Tx, team_id: str) -> dict[str, Role]:
    """The role of each member, by user id."""
    return {row["user_id"]: Role(row["role"]) for row in tx.all(_ROLES, team=team_id)}


def count(tx: Tx, team_id: str) -> int:
    """How many belong to the team."""
    row = tx.one(_COUNT, team=team_id)
    return int(row["count"]) if row else 0


def remove(tx: Tx, team_id: str, user_id: str) -> bool:
    """End a membership; False when there was none."""
    return tx.run(_LEAVE, team=team_id, user=user_id) > 0


def owned_alone(tx: Tx, user_id: str) -> list[str]:
    """Names of the teams whose only owner this is."""
    return [row["name"] for row in tx.all(_SOLE, user=user_id)]


def end_editors(tx: Tx, team_id: str, user_id: str | None = None) -> None:
    """End what editors of the team's instances hold: those of one user, or all."""
    if user_id is None:
        tx.run(_END_TEAM_EDITORS, team=team_id)
    else:
        tx.run(_END_EDITORS, team=team_id, user=user_id)
