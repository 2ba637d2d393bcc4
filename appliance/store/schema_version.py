"""Which schema a database has and which one this program needs. No Alembic here: this runs at every start."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from appliance.errors import Unavailable

# The newest file in migrations/versions/; revisions are numbers of four digits, so they compare as text.
HEAD = "0007"


def stored(connection: sqlite3.Connection) -> str | None:
    """The revision that the database was last migrated to, or None for an empty one. Raises sqlite3.Error."""
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
    if found is None:
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Raises Unavailable unless the database has exactly the schema of this program."""
    revision = stored(connection)
    if revision is None or revision < HEAD:
        raise Unavailable(
            f"The database {path} has schema {revision or 'none'}, this Weir needs {HEAD}.",
            code="schema_old",
            hint="Start Weir again: it brings the schema up to date first.",
        )
    refuse_newer(revision, path)


def refuse_newer(revision: str, path: Path) -> None:
    """Raises Unavailable when a later Weir has already changed this database."""
    if revision > HEAD:
        raise Unavailable(
            f"The database {path} was written by a newer Weir (schema {revision}, this one knows {HEAD}).",
            code="schema_newer",
            hint=f"Install that Weir again, or put back the copy made before its upgrade: {path.parent / 'backups'}.",
        )
