"""The library that the instances of a team share: entries by type and path.

Folders are not stored: they are what the paths of entries begin with.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from sqlalchemy import LargeBinary, bindparam, cast, delete, func, insert, select, update

from appliance.store.engine import Row, Tx
from appliance.store.tables import team_library
from appliance.store.values import from_json, to_json

_l = team_library.c
_BYTES = func.length(cast(_l.body, LargeBinary)).label("bytes")
_LISTED = select(_l.id, _l.type, _l.name, _l.meta, _l.updated_at, _BYTES)
_OF = _l.team_id == bindparam("team")
_EXACT = (_OF, _l.name == bindparam("path"))
_ENTRIES = select(team_library, _BYTES).where(*_EXACT).order_by(_l.seq)
# Paths below a folder, by range: `LIKE` would read % and _ of a name as wildcards and miss the index.
_BELOW = _LISTED.where(_OF, _l.name >= bindparam("low"), _l.name < bindparam("high")).order_by(_l.name, _l.type)
_ALL = _LISTED.where(_OF).order_by(_l.name, _l.type)
_WHOLE = select(team_library, _BYTES).where(_OF).order_by(_l.name, _l.type)
_SIZE = select(func.count().label("entries"), func.coalesce(func.sum(_BYTES.element), 0).label("held"))
_SIZE = _SIZE.where(_OF)
_BY_ID = _l.id == bindparam("entry")
_UPDATE = update(team_library).where(_BY_ID)
_INSERT = insert(team_library)
_DELETE = delete(team_library).where(_BY_ID)


class Listed(Struct, frozen=True):
    """An entry without its body; `bytes` is the size of that. Milliseconds."""

    id: str
    type: str
    name: str
    meta: dict[str, Any]
    bytes: int
    updated_at: int


class Shared(Listed, frozen=True):
    """An entry; `body` is text, JSON for flows."""

    body: str


def called(tx: Tx, team_id: str, name: str) -> list[Shared]:
    """The entries with exactly this path, at most one of each type; oldest first."""
    rows = tx.all(_ENTRIES, team=team_id, path=name)
    return [Shared(**_fields(row), body=row["body"]) for row in rows]


def below(tx: Tx, team_id: str, folder: str) -> list[Listed]:
    """All entries in a folder and in its folders, the whole library for an empty name; by path."""
    if not folder:
        return [Listed(**_fields(row)) for row in tx.all(_ALL, team=team_id)]
    rows = tx.all(_BELOW, team=team_id, low=f"{folder}/", high=folder + chr(ord("/") + 1))
    return [Listed(**_fields(row)) for row in rows]


def every(tx: Tx, team_id: str) -> list[Shared]:
    """All entries with their bodies; by path."""
    return [Shared(**_fields(row), body=row["body"]) for row in tx.all(_WHOLE, team=team_id)]


def size(tx: Tx, team_id: str) -> tuple[int, int]:
    """Number of entries and sum of their bytes."""
    row = tx.one(_SIZE, team=team_id)
    return (int(row["entries"]), int(row["held"])) if row else (0, 0)


def add(tx: Tx, team_id: str, new: Shared) -> None:
    """Raises Conflict without the team."""
    tx.run(
        _INSERT,
        id=new.id,
        team_id=team_id,
        type=new.type,
        name=new.name,
        meta=to_json(new.meta),
        body=new.body,
        updated_at=new.updated_at,
    )


def replace(tx: Tx, row: Shared) -> None:
    """Write meta and body anew."""
    tx.run(_UPDATE, entry=row.id, meta=to_json(row.meta), body=row.body, updated_at=row.updated_at)


def move(tx: Tx, entry_id: str, name: str, at: int) -> None:
    """Give it another path. Raises Conflict when one of its type has that."""
    tx.run(_UPDATE, entry=entry_id, name=name, updated_at=at)


def remove(tx: Tx, entry_id: str) -> None:
    """Drop it."""
    tx.run(_DELETE, entry=entry_id)


def _fields(row: Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "type": row["type"],
        "name": row["name"],
        "meta": from_json(row["meta"]),
        "bytes": int(row["bytes"]),
        "updated_at": row["updated_at"],
    }
