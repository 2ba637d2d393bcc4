"""Types of teams: what teams of a kind may have."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from sqlalchemy import bindparam, delete, func, insert, select, update

from appliance.store.engine import Row, Tx
from appliance.store.paging import Found, Listing, Want
from appliance.store.tables import team_types, teams
from appliance.store.values import from_json, to_json


class TeamTypeRow(Struct, frozen=True):
    """A type as it is stored, and how many teams are of it."""

    id: str
    name: str
    active: bool
    position: int
    description: str
    properties: dict[str, Any]
    created_at: int
    team_count: int = 0


_t = team_types.c
_TEAMS = select(func.count()).where(teams.c.type_id == _t.id).scalar_subquery().label("team_count")
_ROWS = select(team_types, _TEAMS)
_SHOWN = _ROWS.where(_t.active.in_((bindparam("one"), bindparam("other"))))
_LISTING = Listing(_SHOWN, team_types, text=(_t.name,), sorts={"name": _t.name, "order": _t.position})
_ALL = _ROWS.order_by(_t.position, _t.seq)
_BY_ID = _ROWS.where(_t.id == bindparam("type"))
_INSERT = insert(team_types)
_CHANGE = update(team_types).where(_t.id == bindparam("type"))
_DELETE = delete(team_types).where(_t.id == bindparam("type"))
# What may be asked for, as the two values that `active` may have.
SHOWN = {"active": (1, 1), "inactive": (0, 0), "all": (0, 1)}


def add(tx: Tx, new: TeamTypeRow) -> None:
    """Raises Conflict when the name is taken."""
    tx.run(_INSERT, id=new.id, created_at=new.created_at, **_columns(new))


def change(tx: Tx, row: TeamTypeRow) -> None:
    """Write all that may change. Raises Conflict when the name is taken."""
    tx.run(_CHANGE, type=row.id, **_columns(row))


def get(tx: Tx, type_id: str) -> TeamTypeRow | None:
    """By id."""
    row = tx.one(_BY_ID, type=type_id)
    return type_of(row) if row else None


def every(tx: Tx) -> list[TeamTypeRow]:
    """All types, in the order in which they are shown."""
    return [type_of(row) for row in tx.all(_ALL)]


def default(tx: Tx) -> TeamTypeRow | None:
    """The first active one: what a team is when nobody chose."""
    return next((row for row in every(tx) if row.active), None)


def page(tx: Tx, want: Want, *, shown: str) -> Found:
    """A page of the types that are `active`, `inactive` or `all`."""
    one, other = SHOWN[shown]
    return _LISTING.read(tx, want, one=one, other=other)


def remove(tx: Tx, type_id: str) -> None:
    """Drop it; nobody may be of it any more."""
    tx.run(_DELETE, type=type_id)


def _columns(row: TeamTypeRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "active": int(row.active),
        "position": row.position,
        "description": row.description,
        "properties": to_json(row.properties),
    }


def type_of(row: Row) -> TeamTypeRow:
    """A row of `page` as a struct."""
    return TeamTypeRow(
        id=row["id"],
        name=row["name"],
        active=bool(row["active"]),
        position=row["position"],
        description=row["description"],
        properties=from_json(row["properties"]),
        created_at=row["created_at"],
        team_count=row["team_count"],
    )
