"""Mosquitto as a unit of systemd, on an installed box: asked for by name, run by an account of its own.

It does what `process.Mosquitto` does for a box in development. systemd copies the list of clients to where the broker
may write (ExecStartPre), so a broker that is started at boot, before the appliance or without it, knows everybody.
"""

from __future__ import annotations

import asyncio
import contextlib
import grp
import os
from pathlib import Path

from appliance.config import Home
from appliance.system.daemon import UnitDaemon
from appliance.system.files import write_atomic

UNIT = "weir-mosquitto.service"
GROUP = "_weir-mqtt"


class MosquittoUnit(UnitDaemon):
    """The broker of an installed box. Not for use from two tasks at once."""

    user = ""

    def __init__(self, home: Home) -> None:
        super().__init__(UNIT)
        self._home = home
        self.config = home.mosquitto / "mosquitto.conf"
        self.security = home.mosquitto / "dynamic-security.json"

    def prepare(self) -> None:
        """Make the directory of what it reads, for its group. Raises OSError."""
        self._home.mosquitto.mkdir(mode=0o750, parents=True, exist_ok=True)
        _let_read(self._home.mosquitto, 0o750)

    def keep(self, path: Path, content: bytes | str) -> None:
        """Write a file that it is started with: for its group to read. Blocks. Raises OSError."""
        write_atomic(path, content, 0o640)
        _let_read(path, 0o640)

    async def start(self) -> None:
        """Have it started with the files in place, also one that has failed too often. Raises Unavailable."""
        try:
            await asyncio.to_thread(self._systemctl.reset_failed, UNIT)
            await self._ask("start", UNIT)
        finally:
            await asyncio.to_thread(self.adopt)

    def why(self) -> str:
        """Its log is systemd's, which this account may not read."""
        return ""


def _let_read(path: Path, mode: int) -> None:
    """For the broker's group, where the installer has made it."""
    with contextlib.suppress(KeyError):
        os.chown(path, -1, grp.getgrnam(GROUP).gr_gid, follow_symlinks=False)
    path.chmod(mode)
