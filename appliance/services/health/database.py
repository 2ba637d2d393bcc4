"""The database: full, read-only, locked, on a failing disk, damaged.

A write that fails tells by itself; then a small write is tried until one succeeds, so that the trouble ends without
anybody's hand. Nothing is written to find out that all is well.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from appliance.errors import WeirError
from appliance.events import Bus, Event
from appliance.services.health.trouble import Seconds, Trouble
from appliance.store import box, integrity
from appliance.store.engine import FAILED, Store
from appliance.store.values import to_json

CHECK_AGAIN_S = 86400.0
SETTLED_S = 60.0  # a box that has just started has better things to do than to read all of it
LARGEST_CHECKED_BYTES = 256 * 2**20  # reading more than this beside the instances is for `weir doctor`
_PROBE = "health.probe"
_MEANWHILE = "Instances run on and what is stored can be read; changes are refused with this reason."
_TITLES = {
    "disk_full": "The database can't be written: the disk is full",
    "store_read_only": "The database can't be written: it is read-only",
    "store_locked": "The database is locked by another program",
    "store_corrupt": "The database is damaged",
}


class DatabaseCheck:
    """Listens for failed writes, and reads the whole database through once a day."""

    name = "database"
    every_s = 10.0
    quick = False

    def __init__(self, store: Store, bus: Bus, uptime_s: Seconds) -> None:
        self._store = store
        self._uptime_s = uptime_s
        self._failed: WeirError | None = None
        self._damage = ""
        self._read_at = uptime_s() + SETTLED_S
        bus.listen(self._hear)

    async def look(self) -> Sequence[Trouble]:
        barred = await asyncio.to_thread(not_writable, self._store.path)
        if self._failed is not None or barred is not None:
            await self._try()
        await self._read_through()
        if self._damage:
            return [damaged(self._store.path, self._damage)]
        if self._failed is not None:
            return [failing(self._failed)]
        return [barred] if barred is not None else []

    def _hear(self, event: Event) -> None:
        if event.kind == FAILED and isinstance(event.body, WeirError):
            self._failed = event.body
            if event.key == "store_corrupt":
                self._read_at = self._uptime_s()  # look at all of it soon

    async def _try(self) -> None:
        """A real write: one that changes nothing would not reach the disk."""
        failed = self._failed
        try:
            await self._store.write(lambda tx: box.put(tx, _PROBE, to_json(self._uptime_s())))
        except WeirError:
            return  # the store has told why
        if self._failed is failed:
            self._failed = None

    async def _read_through(self) -> None:
        now = self._uptime_s()
        if now >= self._read_at:
            self._read_at = now + CHECK_AGAIN_S
            self._damage = await asyncio.to_thread(_damage, self._store.path)


def _damage(path: Path) -> str:
    try:
        return integrity.damage(path) if path.stat().st_size <= LARGEST_CHECKED_BYTES else ""
    except (OSError, sqlite3.Error):
        return ""  # what can't be read shows itself where it is needed


def failing(error: WeirError) -> Trouble:
    """The trouble of a database that refused a write or a read."""
    title = _TITLES.get(error.code, "The database can't be written")
    cause = f"{error.message} {_MEANWHILE}"
    return Trouble("database", title, cause, f"tried again every 10 s ({error.code})", error.hint)


def damaged(path: Path, said: str) -> Trouble:
    """The trouble of a database that SQLite finds broken."""
    return Trouble(
        "database_damaged",
        "The database is damaged",
        f"Parts of {path} can't be trusted: a failing disk or card, or somebody wrote into the file.",
        f"PRAGMA quick_check: {said}",
        f"Stop the box, keep a copy of {path.parent}, put back a backup ({path.parent / 'backups'} has copies made "
        "before upgrades), and look for errors of the disk: dmesg",
    )


def not_writable(path: Path) -> Trouble | None:
    """The trouble of a database whose file or directory this account can't open for writing, found without writing.

    What is open already may still be written, so this tells of the next start.
    """
    barred = next((each for each in (path, path.parent) if not os.access(each, os.W_OK)), None)
    if barred is None:
        return None
    return Trouble(
        "database_barred",
        "The database can't be opened for writing",
        f"{barred} {'is read-only' if barred.exists() else 'is not there'}. A Weir that runs may go on with the file "
        "that it holds open; after its next start nothing could be stored.",
        f"the file, its directory or the file system refuses the account with the number {os.geteuid()}",
        f"Check: mount; ls -l {path.parent}; lsattr {path}. Weir's account must be able to write there.",
    )
