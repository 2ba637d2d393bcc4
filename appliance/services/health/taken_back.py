"""Upgrades that were taken back with their database: what was done meanwhile lies in the database set aside.

`appliance.upgrade.carry` writes a note beside each such database. The problem lasts until the database is removed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from appliance.services.health.trouble import Trouble

PATTERN = "weir-failed-upgrade-*.db"  # in `state/backups`, each with a note of the same name that ends in .json


class TakenBack(Struct, frozen=True):
    """What came of the changes between an upgrade and the way back. `carried`: names of instances whose flows and
    credentials were taken over; `files`: what is kept of instances that are not there any more; `lost`: other
    entries of the audit log and how many; `unread`: why the database could not be looked through."""

    at: str  # as ISO 8601 says it
    carried: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    lost: dict[str, int] = {}
    unread: str = ""

    @property
    def whole(self) -> bool:
        """Whether nothing is left that somebody would have to look for."""
        return not (self.files or self.lost or self.unread)


class TakenBackCheck:
    """Reads the notes beside the databases that were set aside."""

    name = "taken back"
    every_s = 60.0
    quick = False

    def __init__(self, backups: Path) -> None:
        self._backups = backups

    async def look(self) -> Sequence[Trouble]:
        return await asyncio.to_thread(self._found)

    def _found(self) -> list[Trouble]:
        found = []
        for database in sorted(self._backups.glob(PATTERN)):
            note = read_note(database)
            if not note.whole:
                found.append(_trouble(database, note))
        return found


def read_note(database: Path) -> TakenBack:
    """The note beside a database that was set aside; one that can't be read is a reason to look. Blocks."""
    path = database.with_suffix(".json")
    try:
        return msgspec.json.decode(path.read_bytes(), type=TakenBack)
    except (OSError, msgspec.DecodeError) as error:
        return TakenBack(at="an unknown time", unread=f"{path.name} can't be read: {error}")


def _trouble(database: Path, note: TakenBack) -> Trouble:
    left = [f"{event} ({count})" for event, count in sorted(note.lost.items())]
    seen = [
        f"flows taken over: {', '.join(note.carried)}" if note.carried else "",
        f"flows kept in: {', '.join(note.files)}" if note.files else "",
        f"not taken over: {', '.join(left)}" if left else "",
        note.unread,
    ]
    return Trouble(
        f"taken_back:{database.stem}",
        "An upgrade was taken back, and changes that were made meanwhile with it",
        f"At {note.at} the release did not hold, and the database of before the upgrade was put back.",
        "; ".join(each for each in seen if each),
        f"Do again what is missing; all of it is in {database}. Then remove that file.",
    )
