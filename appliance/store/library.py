"""The library of one instance: entries by type and path."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from sqlalchemy import bindparam, func, insert, select, update

from appliance.store.engine import Row, Tx
from appliance.store.tables import library
from appliance.store.values import from_json, to_json

_l = library.c
_OF = (_l.instance_id == bindparam("instance"), _l.type == bindparam("of"))
_ENTRY = select(library).where(*_OF, _l.name == bindparam("path"))
# Paths below a folder, by range: `LIKE` would read % and _ of a name as wildcards and miss the index.
_BELOW = (
    select(_l.name, _l.meta).where(*_OF, _l.name >= bindparam("low"), _l.name < bindparam("high")).order_by(_l.name)
)
_ALL = select(library).where(_l.instance_id == bindparam("instance")).order_by(_l.seq)
_SIZE = select(
    func.count().label("entries"), func.coalesce(func.sum(func.length(_l.body)), 0).label("characters")
).where(_l.instance_id == bindparam("instance"))
_UPDATE = (
    update(library)
    .where(*_OF, _l.name == bindparam("path"))
    .values(meta=bindparam("about"), body=bindparam("text"), updated_at=bindparam("at"))
)
_INSERT = insert(library)


class Entry(Struct, frozen=True):
    """One saved function, template or flow; `body` is text, JSON for flows."""

    type: str
    name: str
    meta: dict[str, Any]
    body: str


def entry(tx: Tx, instance_id: str, kind: str, name: str) -> Entry | None:
    """The entry with exactly this path."""
    row = tx.one(_ENTRY, instance=instance_id, of=kind, path=name)
    return _entry(row) if row else None


def below(tx: Tx, instance_id: str, kind: str, folder: str) -> list[tuple[str, dict[str, Any]]]:
    """Path and meta of all entries whose path starts with `folder`, which ends in '/' or is empty; by path."""
    high = folder[:-1] + chr(ord("/") + 1) if folder else "\U0010ffff"
    rows = tx.all(_BELOW, instance=instance_id, of=kind, low=folder, high=high)
    return [(row["name"], from_json(row["meta"])) for row in rows]


def every(tx: Tx, instance_id: str) -> list[Entry]:
    """The whole library of an instance."""
    return [_entry(row) for row in tx.all(_ALL, instance=instance_id)]


def size(tx: Tx, instance_id: str) -> tuple[int, int]:
    """Number of entries and sum of their characters."""
    row = tx.one(_SIZE, instance=instance_id)
    return (int(row["entries"]), int(row["characters"])) if row else (0, 0)


def write(tx: Tx, instance_id: str, new: Entry, *, at: int) -> None:
    """Replace the entry with this type and path, or add it."""
    where = {"instance": instance_id, "of": new.type, "path": new.name}
    if not tx.run(_UPDATE, **where, about=to_json(new.meta), text=new.body, at=at):
        tx.run(
            _INSERT,
            instance_id=instance_id,
            type=new.type,
            name=new.name,
            meta=to_json(new.meta),
            body=new.body,
            updated_at=at,
        )


def _entry(row: Row) -> Entry:
    return Entry(type=row["type"], name=row["name"], meta=from_json(row["meta"]), body=row["body"])
