"""Which backups there are, and when the next one is made: two documents of the box.

A handful of entries that change a few times a day and are always read together; as documents they need no migration, so
a backup of any version can be listed by any other.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from appliance.store import box
from appliance.store.engine import Tx

MOST = 500
_LIST, _PLAN = "backups", "backup_schedule"


class BackupRow(Struct, frozen=True):
    """A file that was made. Times in milliseconds. `target` and `name` say where it is (`services.backup_places`)."""

    id: str
    made_at: int
    scheduled: bool
    target: str
    name: str
    size_bytes: int
    packages: bool
    passphrase: bool
    recipients: list[str]
    version: str
    schema: str
    instances: int
    files: int
    lacks: list[str]
    took_s: float
    verified_at: int | None = None
    verify_error: str | None = None


class Plan(Struct, frozen=True):
    """When backups are made by themselves, for which key, and where they go."""

    every: str = "off"
    at: str = "02:30"
    weekday: int = 6
    keep: int = 7
    packages: bool = False
    target: str = ""
    recipient: str = ""


def every(tx: Tx) -> list[BackupRow]:
    """All that are known, in the order in which they were made: a clock that jumped tells another one."""
    kept = box.get(tx, _LIST)
    return [] if kept is None else msgspec.json.decode(kept, type=list[BackupRow])


def get(tx: Tx, backup_id: str) -> BackupRow | None:
    """One of them."""
    return next((row for row in every(tx) if row.id == backup_id), None)


def put(tx: Tx, row: BackupRow) -> None:
    """Add it as the last one made, or put it in place of the one with its id."""
    rows = every(tx)
    known = any(each.id == row.id for each in rows)
    rows = [row if each.id == row.id else each for each in rows] if known else [*rows, row][-MOST:]
    box.put(tx, _LIST, msgspec.json.encode(rows).decode())


def remove(tx: Tx, backup_id: str) -> None:
    """Forget it; the file is the caller's."""
    rows = [each for each in every(tx) if each.id != backup_id]
    box.put(tx, _LIST, msgspec.json.encode(rows).decode())


def plan(tx: Tx) -> Plan:
    """The schedule."""
    kept = box.get(tx, _PLAN)
    return Plan() if kept is None else msgspec.json.decode(kept, type=Plan)


def set_plan(tx: Tx, new: Plan) -> None:
    """Replace the schedule."""
    box.put(tx, _PLAN, msgspec.json.encode(new).decode())
