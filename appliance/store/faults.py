"""What SQLite can answer with, as errors of ours that name the cause and the next step."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from appliance.errors import Conflict, Internal, Unavailable, WeirError


def translate(error: sqlite3.Error, path: Path) -> WeirError:
    """The error that a client should see instead of `error`; the caller chains the cause."""
    name = str(getattr(error, "sqlite_errorname", "") or "")
    if isinstance(error, sqlite3.IntegrityError):
        return _integrity(name, error)
    for prefix, make in _KINDS.items():
        if name.startswith(prefix):
            return make(path, error)
    return Internal(f"The database {path} refused a statement: {error}.", hint="Report this with the appliance's log.")


def _integrity(name: str, error: sqlite3.Error) -> WeirError:
    if name in ("SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"):
        columns = str(error).rpartition(": ")[2]
        return Conflict(f"There is already one with the same {columns}.", code="duplicate", hint="Choose another.")
    if name == "SQLITE_CONSTRAINT_FOREIGNKEY":
        return Conflict("Something it belongs to is gone, or something still uses it.", code="in_use")
    return Internal(f"The database refused a value: {error}.", hint="Report this with the appliance's log.")


def _full(path: Path, _: sqlite3.Error) -> WeirError:
    return Unavailable(
        f"The disk that holds {path} is full; nothing was changed.",
        code="disk_full",
        hint="Free some space there; Weir goes on by itself.",
    )


def _read_only(path: Path, _: sqlite3.Error) -> WeirError:
    return Unavailable(
        f"The database {path} cannot be written: the file, its directory or the file system is read-only.",
        code="store_read_only",
        hint=f"Check 'mount' and 'ls -l {path.parent}': Weir's account must be able to write there.",
    )


def _locked(path: Path, _: sqlite3.Error) -> WeirError:
    return Unavailable(
        f"The database {path} is locked by another program; nothing was changed.",
        code="store_locked",
        hint=f"Find it with 'fuser {path}' and end it.",
    )


def _input_output(path: Path, error: sqlite3.Error) -> WeirError:
    return Unavailable(
        f"The disk that holds {path} answered with an error ({error}); nothing was changed.",
        code="store_io",
        hint="Look for a full or failing disk: 'df', 'dmesg'.",
    )


def _cannot_open(path: Path, error: sqlite3.Error) -> WeirError:
    return Unavailable(
        f"The database {path} cannot be opened: {error}.",
        code="store_unopened",
        hint=f"Check that {path.parent} exists and that Weir's account may read and write there.",
    )


def _corrupt(path: Path, error: sqlite3.Error) -> WeirError:
    return Internal(
        f"The database {path} is damaged: {error}.",
        code="store_corrupt",
        hint=f"Keep a copy of it and put back a backup; copies made before upgrades lie in {path.parent / 'backups'}.",
    )


# Codes of errors that are the database's or the disk's fault, not the request's.
DISK_CODES = frozenset({"disk_full", "store_read_only", "store_locked", "store_io", "store_unopened", "store_corrupt"})

_KINDS = {
    "SQLITE_FULL": _full,
    "SQLITE_READONLY": _read_only,
    "SQLITE_BUSY": _locked,
    "SQLITE_LOCKED": _locked,
    "SQLITE_IOERR": _input_output,
    "SQLITE_CANTOPEN": _cannot_open,
    "SQLITE_PERM": _cannot_open,
    "SQLITE_CORRUPT": _corrupt,
    "SQLITE_NOTADB": _corrupt,
}
