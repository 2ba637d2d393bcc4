"""What the box remembers of itself: a few keys and values."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, insert, select, update

from appliance.store.engine import Tx
from appliance.store.tables import box
from appliance.store.values import from_json, to_json

_GET = select(box.c.value).where(box.c.key == bindparam("name"))
_PUT = insert(box)
_CHANGE = update(box).where(box.c.key == bindparam("name"))
_NAMES = "accepted_names"


def get(tx: Tx, name: str) -> str | None:
    """The value kept under `name`."""
    row = tx.one(_GET, name=name)
    return None if row is None else str(row["value"])


def put(tx: Tx, name: str, value: str) -> None:
    """Keep `value` under `name`."""
    if tx.run(_CHANGE, name=name, value=value) == 0:
        tx.run(_PUT, key=name, value=value)


def names(tx: Tx) -> list[str]:
    """The names that were added to those of the box, oldest first."""
    kept = get(tx, _NAMES)
    return [] if kept is None else [str(name) for name in from_json(kept)]


def set_names(tx: Tx, names: Sequence[str]) -> None:
    """Keep these as the added names."""
    put(tx, _NAMES, to_json(list(names)))
