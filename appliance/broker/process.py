"""Our own Mosquitto process, on a box in development: started, adopted, ended. It outlives the appliance on purpose."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from appliance.broker.program import ConfigRefused, find, sentence
from appliance.config import Home
from appliance.system import logfiles, tree
from appliance.system.daemon import OwnDaemon
from appliance.system.files import make_private_dir, write_atomic
from appliance.system.pidfd import Process


class Mosquitto(OwnDaemon):
    """The broker of one home. Not for use from two tasks at once."""

    def __init__(self, home: Home, program: str = "mosquitto") -> None:
        super().__init__(home.run / "mosquitto.json")
        self._home = home
        self._program = program
        self._mark = 0  # where in the log the present one began
        self.config = home.mosquitto / "mosquitto.conf"
        self.security = home.mosquitto / "dynamic-security.json"
        self.log = home.logs / "mosquitto.log"

    @property
    def user(self) -> str:
        """The account that its configuration has to name; only root may choose one."""
        return "root" if os.geteuid() == 0 else ""

    def prepare(self) -> None:
        """Make the directories that it needs. Raises OSError."""
        for directory in (self._home.mosquitto, self._home.mosquitto_run):
            make_private_dir(directory)
        self._home.logs.mkdir(parents=True, exist_ok=True)

    def keep(self, path: Path, content: bytes | str) -> None:
        """Write a file that it is started with. Blocks. Raises OSError."""
        write_atomic(path, content, 0o600)

    def adopt(self) -> bool:
        """Take over the one that runs with our configuration, if one does: proven by what it was started with."""
        process = self._found()
        if process is None:  # the record is lost or old: look for its command line
            found = map(Process.open, tree.started_with("-c", str(self.config)))
            process = next(filter(None, found), None)
        if process is not None:
            self._hold(process)
        return process is not None

    async def start(self) -> None:
        """Start it with the files in place; returns at once. Raises BrokerMissing, ConfigRefused, OSError."""
        if self._process is not None:
            self._process.reap()
        process = await asyncio.to_thread(self._begin)
        if process is None:
            raise ConfigRefused(self.why() or "Mosquitto ended at once", hint=f"Its log: {self.log}")
        self._hold(process)

    async def stop(self, grace_s: float = 3.0) -> None:
        """End it: gracefully, then not. Returns when it is gone."""
        await self._end((signal.SIGTERM, signal.SIGKILL), grace_s)

    async def end_stuck(self) -> None:
        """End one that does not answer."""
        await self.stop(grace_s=0.2)

    def why(self) -> str:
        """What it wrote as its reason since it was started; empty when nothing."""
        return sentence(logfiles.tail(self.log, self._mark))

    def _begin(self) -> Process | None:
        """What the broker writes into its list of clients goes into a copy: the file itself is ours."""
        command = [find(self._program), "-c", str(self.config)]
        write_atomic(self._home.mosquitto_run / self.security.name, self.security.read_bytes(), 0o600)
        logfiles.set_aside(self.log)
        with self.log.open("ab") as output:
            self._mark = os.fstat(output.fileno()).st_size
            return self._spawn(command, cwd=self._home.mosquitto, output=output.fileno(), umask=0o077)
