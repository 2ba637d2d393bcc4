"""A database of the first release, with data in it, brought to the schema with kept deploys."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config

from appliance.events import Bus
from appliance.store import audit, kept, migrations, storage, tokens
from appliance.store.engine import Store, Tx
from appliance.store.migrate import ensure_schema
from appliance.store.schema_version import stored

IN_INSTANCE = {"id": "i1", "name": "Line", "application_id": "a1", "team_id": "t1", "type_id": "y1", "stack_id": "s1"}
REPORT = {"event": "crashed", "scope_type": "project", "scope_id": "i1", "team_id": "t1", "instance_id": "i1"}
ROWS: list[tuple[str, dict[str, Any]]] = [
    ("teams", {"id": "t1", "name": "Team"}),
    ("applications", {"id": "a1", "team_id": "t1"}),
    ("instance_types", {"id": "y1", "name": "Type"}),
    ("stacks", {"id": "s1", "name": "Stack"}),
    ("templates", {"id": "p1", "name": "Template"}),
    ("instances", {**IN_INSTANCE, "template_id": "p1", "desired": "running"}),
    ("storage", {"instance_id": "i1", "kind": "flows", "body": b"[]"}),
    ("tokens", {"id": "k1", "kind": "ticket", "hash": "h", "instance_id": "i1", "spent_at": 5}),
    ("audit", REPORT),
    ("audit", REPORT),
]


def _insert(raw: sqlite3.Connection, table: str, given: dict[str, Any]) -> None:
    """A row whose other columns hold something harmless where they must hold something."""
    columns = raw.execute(f"PRAGMA table_info({table})").fetchall()
    plain = {
        name: "{}" if "CHAR" in kind or kind == "TEXT" else 0
        for _, name, kind, needed, _, key in columns
        if needed and not key
    }
    values = {**plain, **given}
    marks = ", ".join("?" * len(values))
    raw.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", tuple(values.values()))


def _of_the_first_release(path: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.attributes["database"] = path
    command.upgrade(config, "0001")
    with closing(sqlite3.connect(path)) as raw, raw:
        for table, given in ROWS:
            _insert(raw, table, given)
    raw.close()


async def test_an_upgrade_from_the_first_release_keeps_what_is_there(tmp_path: Path) -> None:
    database = tmp_path / "weir.db"
    _of_the_first_release(database)
    ensure_schema(database)
    (copy,) = (tmp_path / "backups").iterdir()
    raw = sqlite3.connect(copy)
    assert stored(raw) == "0001"
    raw.close()
    store = await Store.open(database, Bus())
    try:
        await store.write(_works)
    finally:
        await store.close()


def _works(tx: Tx) -> None:
    assert storage.body(tx, "i1", "flows") == b"[]"
    ticket = tokens.get(tx, "h")
    assert ticket is not None and ticket.spent_at == 5 and ticket.spent_by is None
    known = audit.page(tx, audit.Filter("project", "i1"), before=None, limit=10)
    assert [entry.event for entry in known] == ["crashed", "crashed"] and not audit.reported(tx, "i1", "r1")
    entry = audit.NewEntry(3, "stopped", "project", "i1", "t1", "i1", None, None, "system", "launcher", {})
    audit.write(tx, entry, "r1")
    assert audit.reported(tx, "i1", "r1") and not audit.reported(tx, "i2", "r1")
    kept.add(tx, kept.NewKept("d1", "i1", "deploy-1", "r1", "flows_changed", "why", None, 1, 2, None, b"[1]"))
    assert [row.name for row in kept.of_instance(tx, "i1")] == ["deploy-1"] and kept.name_of(
        tx, "i1", "r1"
    ) == "deploy-1"
