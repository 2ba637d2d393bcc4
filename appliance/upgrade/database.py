"""What an upgrade does with the database, as the service's account: a rehearsal on a copy, and the way back."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from appliance.config import Home
from appliance.errors import Internal, NotFound, Unavailable
from appliance.services.health.taken_back import PATTERN, TakenBack, read_note
from appliance.store.migrate import ensure_schema
from appliance.store.schema_version import stored
from appliance.system.files import sync_directory, write_atomic
from appliance.upgrade.carry import carry

SET_ASIDE_KEPT = 3


def schema(home: Home) -> str:
    """The schema that the box's database has now; empty when there is none. Raises Unavailable."""
    if not home.database.exists():
        return ""
    try:
        with contextlib.closing(_open(home.database)) as connection:
            return stored(connection) or ""
    except sqlite3.Error as error:
        raise Unavailable(f"the database {home.database} can't be read: {error}", hint="Type: weir doctor") from error


def rehearse(home: Home) -> str:
    """Migrate a copy of the database as this release would, and check it; the schema that came of it.

    The box may run meanwhile. Nothing is left behind. Raises Unavailable (no space, a newer schema) or Internal.
    """
    scratch = home.state / "upgrade"
    scratch.mkdir(mode=0o700, exist_ok=True)
    copy = scratch / "rehearsal.db"
    _remove(copy)
    try:
        with contextlib.closing(_open(home.database)) as connection:
            connection.execute("VACUUM INTO ?", (str(copy),))
        copy.chmod(0o600)
        ensure_schema(copy)
        with contextlib.closing(_open(copy)) as connection:
            _check(connection)
            return stored(connection) or ""
    except sqlite3.Error as error:
        raise Unavailable(
            f"a copy of the database can't be made or migrated: {error}",
            hint=f"See whether the disk has room for it twice: df -h {home.state}",
        ) from error
    finally:
        _remove(copy)
        for left in scratch.glob("backups/*"):
            left.unlink()


def restore(home: Home, before: str, since: float) -> tuple[Path, TakenBack] | None:
    """Put back the copy with the schema `before` that was made at the migration, after `since` (seconds since 1970),
    with the deploys that were acknowledged after it.

    Nothing runs on the database. What it replaces is kept in `backups/`, with a note. Returns the copy that was put
    back and the note, None when the database has that schema still. Raises NotFound when there is no such copy.
    """
    if schema(home) == before:
        return None
    backups = home.database.parent / "backups"
    found = [each for each in backups.glob(f"weir-schema-{before}-*.db") if each.stat().st_mtime >= since - 1]
    if not found:
        hint = f"Copies of earlier upgrades are in {backups}."
        raise NotFound(f"there is no copy of the database with schema {before}", hint=hint)
    copy = max(found, key=lambda each: each.stat().st_mtime)
    with contextlib.closing(sqlite3.connect(home.database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    now = datetime.now(UTC)
    failed = backups / f"weir-failed-upgrade-{now:%Y%m%dT%H%M%SZ}.db"
    beside, note = _with_deploys(home, copy, failed, int(now.timestamp() * 1000))
    write_atomic(failed.with_suffix(".json"), msgspec.json.encode(note), 0o600)
    failed.unlink(missing_ok=True)
    failed.hardlink_to(home.database)  # at every moment one whole database has the name
    sync_directory(backups)
    for suffix in ("-wal", "-shm"):  # what was in there is in the file since the checkpoint
        Path(f"{home.database}{suffix}").unlink(missing_ok=True)
    beside.replace(home.database)
    sync_directory(home.database.parent)
    _drop_oldest(backups)
    return copy, note


def _drop_oldest(backups: Path) -> None:
    """Of the databases that were set aside those that nobody has to look into go, but for the last."""
    for old in sorted(backups.glob(PATTERN))[:-SET_ASIDE_KEPT]:
        if read_note(old).whole:
            old.unlink()
            old.with_suffix(".json").unlink(missing_ok=True)


def _with_deploys(home: Home, copy: Path, failed: Path, at_ms: int) -> tuple[Path, TakenBack]:
    """The database to put back, whole and on the disk, under a name of its own beside the one in use."""
    beside = home.database.with_name("weir.db.restored")
    _remove(beside)
    beside.touch(0o600)
    shutil.copyfile(copy, beside)
    note = carry(home.database, beside, failed.with_suffix(""), at_ms)
    with contextlib.closing(_open(beside)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with beside.open("rb") as stream:
        os.fsync(stream.fileno())
    return beside, note


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=10)


def _check(connection: sqlite3.Connection) -> None:
    said = [row[0] for row in connection.execute("PRAGMA integrity_check(5)")]
    strays = connection.execute("PRAGMA foreign_key_check").fetchmany(1)
    if said != ["ok"] or strays:
        raise Internal(
            f"the migrated copy of the database is not whole: {strays or said}",
            hint="The box goes on with the release it has. Report this.",
        )


def _remove(path: Path) -> None:
    for each in (path, Path(f"{path}-wal"), Path(f"{path}-shm"), Path(f"{path}-journal")):
        each.unlink(missing_ok=True)
