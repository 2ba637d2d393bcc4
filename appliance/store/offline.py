"""One transaction on a database that nothing else has open: a copy in a backup, a box that is down."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.dialects.sqlite.base import SQLiteDialect

from appliance.store.engine import Tx
from appliance.store.faults import translate
from appliance.store.statements import Statements
from appliance.store.transactions import SqliteTx

LOCK_S = 5.0


@contextmanager
def transaction(path: Path) -> Iterator[Tx]:
    """Committed at the end of the block, on the disk then; nothing of it is kept when the block raises.

    The file is there and has this program's schema (`migrate.ensure_schema`). Raises Unavailable, Internal. Blocks.
    """
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=LOCK_S, isolation_level=None
        )
    except sqlite3.Error as error:
        raise translate(error, path) from error
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("BEGIN IMMEDIATE")
        yield SqliteTx(connection, Statements(SQLiteDialect(paramstyle="qmark")), path, [])
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise translate(error, path) from error
    finally:
        connection.close()  # what was not committed is rolled back


def copy(path: Path, target: Path) -> None:
    """A consistent copy of a database that may be in use, at `target`, which is not there yet. Raises as above."""
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=LOCK_S)
    except sqlite3.Error as error:
        raise translate(error, path) from error
    try:
        connection.execute("VACUUM INTO ?", (str(target),))
    except sqlite3.Error as error:
        raise translate(error, path) from error
    finally:
        connection.close()


def schema(path: Path) -> str:
    """The revision that a database says it has; empty when it says none. Raises as above."""
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=LOCK_S)
        try:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise translate(error, path) from error
    return str(row[0]) if row else ""
