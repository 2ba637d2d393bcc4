"""Files of restored instances that wait for their launchers: where each instance has a user of its own, only that user
writes there (`appliance.backup.handed` puts them here, `launcher.handed` takes them)."""

from __future__ import annotations

import asyncio
from pathlib import Path

from appliance.config import Home
from appliance.errors import NotFound, Unavailable
from appliance.system.files import sync_directory

DIRECTORY = "handed"


class HandedFiles:
    """One archive for each instance at most; it is gone once the launcher has put its content in place."""

    def __init__(self, home: Home) -> None:
        self._directory = home.state / DIRECTORY

    def path(self, instance_id: str) -> Path:
        """Where the archive of an instance lies, if there is one."""
        return self._directory / f"{instance_id}.tar"

    async def stamp(self, instance_id: str) -> str:
        """A word for the archive that waits, another for each; empty when none does."""
        try:
            seen = await asyncio.to_thread(self.path(instance_id).stat)
        except FileNotFoundError:
            return ""
        return f"{seen.st_mtime_ns:x}-{seen.st_size:x}"

    async def waiting(self, instance_id: str) -> Path:
        """The archive. Raises NotFound."""
        if not await self.stamp(instance_id):
            raise NotFound("No files wait for this instance.")
        return self.path(instance_id)

    async def taken(self, instance_id: str) -> None:
        """The launcher has them in place. Raises Unavailable."""
        try:
            await asyncio.to_thread(self._remove, instance_id)
        except OSError as error:
            raise Unavailable(f"the archive can't be removed: {error.strerror}") from error

    def _remove(self, instance_id: str) -> None:
        if self.path(instance_id).exists():
            self.path(instance_id).unlink()
            sync_directory(self._directory)
