"""Whether a database file is whole, asked of SQLite itself beside everything that uses it."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

MOST_LINES = 3
_STEPS = 100_000  # of SQLite's machine between two looks at the time


def damage(path: Path, *, deadline_s: float = 30.0, lock_s: float = 5.0) -> str:
    """What `PRAGMA quick_check` finds wrong, in a line; empty when all is well, or when time was up before.

    Opens the file for reading only; a database in use may be looked at. Blocks. Raises sqlite3.Error when it can't be
    opened for another reason than damage, so when another program keeps it locked for `lock_s`.
    """
    try:
        connection = _open(path, lock_s)
    except sqlite3.DatabaseError as error:
        return _said(error)
    until = time.monotonic() + deadline_s
    connection.set_progress_handler(lambda: int(time.monotonic() > until), _STEPS)
    try:
        rows = connection.execute(f"PRAGMA quick_check({MOST_LINES})").fetchall()
    except sqlite3.DatabaseError as error:
        return "" if str(error) == "interrupted" else _said(error)
    finally:
        connection.close()
    lines = [str(row[0]).strip() for row in rows]
    return "" if lines == ["ok"] else "; ".join(" ".join(line.split()) for line in lines)[:400]


def _open(path: Path, lock_s: float) -> sqlite3.Connection:
    """A log beside the file needs a shared index that can be written; where it can't be, the file alone is read."""
    for options in ("mode=ro", "mode=ro&immutable=1"):
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?{options}", uri=True, timeout=lock_s)
        try:
            connection.execute("SELECT 1 FROM sqlite_master").fetchall()
        except sqlite3.OperationalError as error:
            connection.close()
            # Beside a program that is writing, a look at the file alone would take its half-written pages for damage.
            if options != "mode=ro" or _busy(error):
                raise
        except sqlite3.DatabaseError:
            connection.close()
            raise
        else:
            return connection
    raise AssertionError("unreachable")


def _busy(error: sqlite3.Error) -> bool:
    return str(getattr(error, "sqlite_errorname", "") or "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def _said(error: sqlite3.Error) -> str:
    """Raises what is no damage."""
    name = str(getattr(error, "sqlite_errorname", "") or "")
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return str(error)
    raise error
