"""Schema changes at start: decided here in milliseconds, carried out by Alembic in a process of its own.

Alembic and the parts of SQLAlchemy it needs would stay in the appliance's memory for ever.
"""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from appliance.errors import Internal, Unavailable
from appliance.store.faults import translate
from appliance.store.schema_version import HEAD, refuse_newer, stored
from appliance.system.files import sync_directory

DEADLINE_S = 600
COPIES_KEPT = 3


def ensure_schema(path: Path, *, report: Callable[[str], None] = lambda _: None) -> None:
    """Make the database at `path` have this program's schema; creates it when it is not there. Blocks.

    Before an existing database is changed a copy of it is put into `backups/` beside it. Raises Unavailable (newer
    schema, no space, not writable) or Internal (damaged, a migration failed); then the database is as it was.
    """
    try:
        revision = _revision(path)
        if revision == HEAD:
            return
        if revision is None:
            report(f"creating the database {path}")
        else:
            refuse_newer(revision, path)
            report(f"bringing the database from schema {revision} to {HEAD}")
            _copy(path, revision)
    except sqlite3.Error as error:
        raise translate(error, path) from error
    _upgrade(path)


def _revision(path: Path) -> str | None:
    if not path.exists():
        _make_private(path)
        return None
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=5)
    try:
        return stored(connection)
    finally:
        connection.close()


def _make_private(path: Path) -> None:
    """An empty file that only this account can read, before anything is in it."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        # SQLite makes its files durable, but not the directory that they lie in.
        sync_directory(path.parent.parent)
    except OSError as error:
        raise Unavailable(
            f"The database {path} can't be created: {error.strerror}.",
            code="store_unopened",
            hint=f"Check that Weir's account may write in {path.parent} and that the disk has space.",
        ) from error


def _copy(path: Path, revision: str) -> None:
    """A consistent copy, checked for being on the disk before the original is touched."""
    directory = path.parent / "backups"
    directory.mkdir(mode=0o700, exist_ok=True)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    copy = directory / f"{path.stem}-schema-{revision}-{stamp}.db"
    connection = sqlite3.connect(path, timeout=5)
    try:
        connection.execute("VACUUM INTO ?", (str(copy),))
    except BaseException:
        copy.unlink(missing_ok=True)
        raise
    finally:
        connection.close()
    copy.chmod(0o600)
    with copy.open("rb") as stream:
        os.fsync(stream.fileno())
    sync_directory(directory)
    # The new one is not the last by name where the clock was set back, or a backup of an older schema was restored.
    others = sorted(each for each in directory.glob(f"{path.stem}-schema-*.db") if each != copy)
    for old in others[: 1 - COPIES_KEPT]:
        old.unlink()


def _upgrade(path: Path) -> None:
    command = [sys.executable, "-m", "appliance.store.migrations", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(
            f"Bringing the database {path} up to date took longer than {DEADLINE_S} s and was ended; it is unchanged.",
            code="migration_failed",
            hint="Start again when the machine is less busy.",
        ) from error
    if done.returncode != 0:
        raise Internal(
            f"Bringing the database {path} to schema {HEAD} failed; it is unchanged: {_cause(done.stderr)}",
            code="migration_failed",
            hint="Install the Weir that ran before and report this. A copy made before lies in backups/ beside it.",
        )


def _cause(trace: str) -> str:
    """The line of a Python trace that names the exception; SQLAlchemy puts the statement and a link below it."""
    named = [line for line in trace.splitlines() if re.match(r"[A-Za-z_][\w.]*: ", line)]
    return named[-1] if named else trace.strip()[-200:]
