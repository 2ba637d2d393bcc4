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
from appliance.errors import Unavailable
from appliance.system import pidfd
from appliance.system.files import write_atomic
from appliance.system.pidfd import Process
from appliance.system.units import Systemctl, UnitsUnavailable

UNIT = "weir-mosquitto.service"
GROUP = "_weir-mqtt"
STOP_S = 20.0  # the unit's own TimeoutStopSec is shorter


class MosquittoUnit:
    """The broker of an installed box. Not for use from two tasks at once."""

    user = ""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._systemctl = Systemctl()
        self._process: Process | None = None
        self.config = home.mosquitto / "mosquitto.conf"
        self.security = home.mosquitto / "dynamic-security.json"

    @property
    def pid(self) -> int | None:
        """None when it does not run."""
        return self._process.identity.pid if self._process is not None and self._process.alive else None

    def prepare(self) -> None:
        """Make the directory of what it reads, for its group. Raises OSError."""
        self._home.mosquitto.mkdir(mode=0o750, parents=True, exist_ok=True)
        _let_read(self._home.mosquitto, 0o750)

    def keep(self, path: Path, content: bytes | str) -> None:
        """Write a file that it is started with: for its group to read. Blocks. Raises OSError."""
        write_atomic(path, content, 0o640)
        _let_read(path, 0o640)

    def adopt(self) -> bool:
        """Take note of the one that runs; whether one does."""
        self.forget()
        pid = self._main_pid()
        identity = pidfd.identify(pid) if pid else None
        self._process = Process.open(identity) if identity is not None else None
        return self._process is not None

    async def start(self) -> None:
        """Have it started with the files in place, also one that has failed too often. Raises Unavailable."""
        try:
            await asyncio.to_thread(self._systemctl.reset_failed, UNIT)
            await asyncio.to_thread(self._systemctl.start, UNIT)
        except UnitsUnavailable as error:
            raise Unavailable(f"{UNIT}: {error}", hint=f"See why: systemctl status {UNIT}") from error
        finally:
            await asyncio.to_thread(self.adopt)

    async def exited(self) -> None:
        """Returns when it has ended (at once when it does not run)."""
        if self._process is not None:
            await self._process.wait()

    async def stop(self, grace_s: float = 3.0) -> None:
        """Stop the unit; systemd kills what does not end."""
        self.forget()
        with contextlib.suppress(UnitsUnavailable):
            await asyncio.to_thread(self._systemctl.stop, UNIT, STOP_S)

    async def end_stuck(self) -> None:
        """End one that does not answer."""
        await self.stop()

    def forget(self) -> None:
        """Let go of it without touching it."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def why(self) -> str:
        """Its log is systemd's, which this account may not read."""
        return ""

    def _main_pid(self) -> int:
        try:
            return self._systemctl.units(UNIT)[0].main_pid
        except (UnitsUnavailable, IndexError):
            return 0


def _let_read(path: Path, mode: int) -> None:
    """For the broker's group, where the installer has made it."""
    with contextlib.suppress(KeyError):
        os.chown(path, -1, grp.getgrnam(GROUP).gr_gid, follow_symlinks=False)
    path.chmod(mode)
