"""What is left of deleted instances and teams: flows, credentials and libraries, in files of the box."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw

from appliance.errors import Unavailable
from appliance.store.instances import InstanceRow
from appliance.store.library import Entry
from appliance.store.team_library import Shared
from appliance.store.teams import TeamRow
from appliance.store.values import from_ms, iso
from appliance.system.files import make_private_dir, write_atomic

KEPT = 50
# Sessions are credentials of people, good for nothing once the instance is gone.
_LEFT_OUT = "sessions"


def file_name(name: str, at: int) -> str:
    """What the remains of the instance are called, by its name and when its deletion was asked for."""
    moment = from_ms(at)
    return f"{name.lower()}-{moment:%Y%m%dT%H%M%S}{moment.microsecond // 1000:03d}Z.json"


def keep(directory: Path, row: InstanceRow, stored: dict[str, bytes], library: list[Entry], sealed: str) -> Path:
    """Write the remains (0600), drop all but the newest fifty files. Blocks. Raises Unavailable when that fails."""
    path = directory / file_name(row.name, row.updated_at)
    try:
        _write(path, _remains(row, stored, library, sealed))
    except OSError as error:
        raise Unavailable(
            f"The flows of the deleted instance '{row.name}' can't be kept in {path}: {error.strerror}.",
            code="remains_unwritten",
            hint="Free some space there; the deletion goes on by itself.",
        ) from error
    return path


def keep_library(directory: Path, team: TeamRow, entries: list[Shared], at: int) -> Path:
    """The same with what a team's editors shared, before the team is deleted. Blocks. Raises Unavailable."""
    path = directory / file_name(f"team-{team.slug}", at)
    remains = {
        "team": {"id": team.id, "name": team.name, "slug": team.slug},
        "deletedAt": iso(at),
        "library": [{"name": each.name, "type": each.type, "meta": each.meta, "body": each.body} for each in entries],
    }
    try:
        _write(path, remains)
    except OSError as error:
        raise Unavailable(
            f"The library of the team '{team.name}' can't be kept in {path}: {error.strerror}.",
            code="remains_unwritten",
            hint="Free some space there, then delete the team again; nothing was changed.",
        ) from error
    return path


def _write(path: Path, remains: dict[str, Any]) -> None:
    make_private_dir(path.parent)
    write_atomic(path, msgspec.json.encode(remains), mode=0o600)
    _drop_oldest(path.parent)


def _remains(row: InstanceRow, stored: dict[str, bytes], library: list[Entry], sealed: str) -> dict[str, Any]:
    return {
        "id": row.id,  # the secret opens only under this id, with the key of this box
        "name": row.name,
        "deletedAt": iso(row.updated_at),
        "team": {"id": row.team_id, "name": row.team_name},
        "application": {"id": row.application_id, "name": row.application_name},
        "stack": row.stack_name,
        "settings": row.settings,
        "sealedCredentialSecret": sealed,
        "library": library,
        "stored": {kind: Raw(body) for kind, body in stored.items() if kind != _LEFT_OUT},
    }


def _drop_oldest(directory: Path) -> None:
    files = sorted(directory.glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
    for file in files[:-KEPT]:
        file.unlink(missing_ok=True)
