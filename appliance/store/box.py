"""What the box remembers of itself: a few keys and values."""

from __future__ import annotations

from sqlalchemy import bindparam, insert, select, update

from appliance.store.engine import Tx
from appliance.store.tables import box

_GET = select(box.c.value).where(box.c.key == bindparam("name"))
_PUT = insert(box)
_CHANGE = update(box).where(box.c.key == bindparam("name"))


def get(tx: Tx, name: str) -> str | None:
    """The value kept under `name`."""
    row = tx.one(_GET, name=name)
    return None if row is None else str(row["value"])


def put(tx: Tx, name: str, value: str) -> None:
    """Keep `value` under `name`."""
    if tx.run(_CHANGE, name=name, value=value) == 0:
        tx.run(_PUT, key=name, value=value)
