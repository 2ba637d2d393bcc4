"""Teams, who belongs to them, and their applications."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from sqlalchemy import Select, bindparam, delete, func, insert, select, update

from appliance.model import Role
from appliance.store.engine import Row, Tx
from appliance.store.paging import Found, Listing, Want
from appliance.store.tables import applications, instances, memberships, teams
from appliance.store.values import from_json, to_json


class TeamRow(Struct, frozen=True):
    """A team and what it has. `role` only where it was asked for a user."""

    seq: int
    id: str
    name: str
    slug: str
    suspended: bool
    properties: dict[str, Any]
    created_at: int
    updated_at: int
    instance_count: int
    member_count: int
    type_id: str | None = None
    role: Role = Role.NONE


class ApplicationRow(Struct, frozen=True):
    """An application: a group of instances in a team."""

    id: str
    team_id: str
    name: str
    description: str
    created_at: int
    updated_at: int


_INSTANCES = select(func.count()).where(instances.c.team_id == teams.c.id).scalar_subquery().label("instance_count")


def _teams() -> Select[Any]:
    members = memberships.alias("others")
    count = select(func.count()).where(members.c.team_id == teams.c.id).scalar_subquery().label("member_count")
    return select(teams, _INSTANCES, count)


_INSERT = insert(teams)
_BY_ID = _teams().where(teams.c.id == bindparam("team"))
_BY_SLUG = _teams().where(teams.c.slug == bindparam("slug"))
_LISTING = Listing(
    _teams(),
    teams,
    text=(teams.c.name,),
    sorts={"name": func.lower(teams.c.name), "createdAt": teams.c.created_at, "updatedAt": teams.c.updated_at},
)
_CHANGE = update(teams).where(teams.c.id == bindparam("team"))
_DELETE = delete(teams).where(teams.c.id == bindparam("team"))
_OF_USER = (
    _teams()
    .add_columns(memberships.c.role)
    .join(memberships, memberships.c.team_id == teams.c.id)
    .where(memberships.c.user_id == bindparam("user"))
    .order_by(teams.c.seq)
)
_COUNT = select(func.count().label("count")).select_from(teams)

_ROLE = select(memberships.c.role).where(
    memberships.c.team_id == bindparam("team"), memberships.c.user_id == bindparam("user")
)
_OWNERS = select(func.count().label("count")).where(
    memberships.c.team_id == bindparam("team"), memberships.c.role == int(Role.OWNER)
)
_JOIN = insert(memberships)
_SET_ROLE = update(memberships).where(
    memberships.c.team_id == bindparam("team"), memberships.c.user_id == bindparam("user")
)

_ADD_APPLICATION = insert(applications)
_APPLICATION = select(applications).where(applications.c.id == bindparam("application"))
_CHANGE_APPLICATION = update(applications).where(applications.c.id == bindparam("application"))
_REMOVE_APPLICATION = delete(applications).where(applications.c.id == bindparam("application"))
_APPLICATIONS = select(applications).where(applications.c.team_id == bindparam("team")).order_by(applications.c.seq)
_OLDEST_APPLICATION = select(applications).order_by(applications.c.seq).limit(1)
_APPLICATIONS_OWNED = (
    select(applications)
    .join(memberships, memberships.c.team_id == applications.c.team_id)
    .where(memberships.c.user_id == bindparam("user"), memberships.c.role >= int(Role.OWNER))
    .order_by(applications.c.seq)
)
_TEAM_OF_INSTANCE = select(instances.c.team_id).where(instances.c.id == bindparam("thing"))
_TEAM_OF_APPLICATION = select(applications.c.team_id).where(applications.c.id == bindparam("thing"))


def add(tx: Tx, *, team_id: str, name: str, slug: str, at: int, type_id: str | None = None) -> None:
    """A new team without members. Raises Conflict when the slug is taken."""
    tx.run(_INSERT, id=team_id, name=name, slug=slug, type_id=type_id, created_at=at, updated_at=at)


def change(tx: Tx, row: TeamRow, at: int) -> None:
    """Write all that may change. Raises Conflict when the slug is taken."""
    tx.run(
        _CHANGE,
        team=row.id,
        name=row.name,
        slug=row.slug,
        suspended=int(row.suspended),
        properties=to_json(row.properties),
        type_id=row.type_id,
        updated_at=at,
    )


def remove(tx: Tx, team_id: str) -> None:
    """Drop the team with its applications, memberships and invitations. Raises Conflict while it has instances."""
    tx.run(_DELETE, team=team_id)


def get(tx: Tx, team_id: str) -> TeamRow | None:
    """By id."""
    row = tx.one(_BY_ID, team=team_id)
    return _team(row) if row else None


def by_slug(tx: Tx, slug: str) -> TeamRow | None:
    """By slug, which is lower case."""
    row = tx.one(_BY_SLUG, slug=slug.lower())
    return _team(row) if row else None


def page(tx: Tx, want: Want) -> Found:
    """A page of all teams, oldest first unless sorted."""
    return _LISTING.read(tx, want)


def of(row: Row) -> TeamRow:
    """A row of `page` as a struct."""
    return _team(row)


def count(tx: Tx) -> int:
    """How many teams there are."""
    row = tx.one(_COUNT)
    return int(row["count"]) if row else 0


def of_user(tx: Tx, user_id: str) -> list[TeamRow]:
    """The teams that somebody belongs to, each with his role."""
    return [_team(row, Role(row["role"])) for row in tx.all(_OF_USER, user=user_id)]


def role(tx: Tx, team_id: str, user_id: str) -> Role:
    """The role of a member; NONE when he does not belong to the team."""
    row = tx.one(_ROLE, team=team_id, user=user_id)
    return Role(row["role"]) if row else Role.NONE


def owner_count(tx: Tx, team_id: str) -> int:
    """How many owners the team has."""
    row = tx.one(_OWNERS, team=team_id)
    return int(row["count"]) if row else 0


def set_role(tx: Tx, team_id: str, user_id: str, new: Role) -> None:
    """Make somebody a member with this role, or change his role."""
    if tx.run(_SET_ROLE, team=team_id, user=user_id, role=int(new)) == 0:
        tx.run(_JOIN, team_id=team_id, user_id=user_id, role=int(new))


def add_application(tx: Tx, new: ApplicationRow) -> None:
    """Raises Conflict when the team is gone."""
    tx.run(
        _ADD_APPLICATION,
        id=new.id,
        team_id=new.team_id,
        name=new.name,
        description=new.description,
        created_at=new.created_at,
        updated_at=new.updated_at,
    )


def change_application(tx: Tx, row: ApplicationRow) -> None:
    """Write its name and description."""
    tx.run(
        _CHANGE_APPLICATION,
        application=row.id,
        name=row.name,
        description=row.description,
        updated_at=row.updated_at,
    )


def remove_application(tx: Tx, application_id: str) -> None:
    """Drop it. Raises Conflict while it has instances."""
    tx.run(_REMOVE_APPLICATION, application=application_id)


def application(tx: Tx, application_id: str) -> ApplicationRow | None:
    """By id."""
    row = tx.one(_APPLICATION, application=application_id)
    return _application(row) if row else None


def applications_of(tx: Tx, team_id: str) -> list[ApplicationRow]:
    """The applications of a team, oldest first."""
    return [_application(row) for row in tx.all(_APPLICATIONS, team=team_id)]


def applications_owned(tx: Tx, user_id: str) -> list[ApplicationRow]:
    """The applications in which somebody may create instances, oldest first."""
    return [_application(row) for row in tx.all(_APPLICATIONS_OWNED, user=user_id)]


def oldest_application(tx: Tx) -> ApplicationRow | None:
    """The application that the box was born with, or the oldest that is left."""
    row = tx.one(_OLDEST_APPLICATION)
    return _application(row) if row else None


def team_of(tx: Tx, kind: str, thing: str) -> str | None:
    """The team that an instance or application belongs to."""
    row = tx.one(_TEAM_OF_INSTANCE if kind == "instance" else _TEAM_OF_APPLICATION, thing=thing)
    return str(row["team_id"]) if row else None


def _team(row: Row, role: Role = Role.NONE) -> TeamRow:
    return TeamRow(
        seq=row["seq"],
        id=row["id"],
        name=row["name"],
        slug=row["slug"],
        suspended=bool(row["suspended"]),
        properties=from_json(row["properties"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        instance_count=row["instance_count"],
        member_count=row["member_count"],
        type_id=row["type_id"],
        role=role,
    )


def _application(row: Row) -> ApplicationRow:
    return ApplicationRow(
        id=row["id"],
        team_id=row["team_id"],
        name=row["name"],
        description=row["description"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
