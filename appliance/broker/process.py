"""Our own Mosquitto process, on a box in development: started, adopted, ended. It outlives the appliance on purpose."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from pathlib import Path

import msgspec

from appliance.broker.program import ConfigRefused, environment, find, sentence, tail
from appliance.config import Home
from appliance.system import pidfd, tree
from appliance.system.files import make_private_dir, write_atomic
from appliance.system.pidfd import Identity, Process

LOG_BYTES = 5 * 2**20


class Mosquitto:
    """The broker of one home. Not for use from two tasks at once."""

    def __init__(self, home: Home, program: str = "mosquitto") -> None:
        self._home = home
        self._program = program
        self._process: Process | None = None
        self._mark = 0  # where in the log the present one began
        self.config = home.mosquitto / "mosquitto.conf"
        self.security = home.mosquitto / "dynamic-security.json"
        self.log = home.logs / "mosquitto.log"

    @property
    def pid(self) -> int | None:
        """None when it does not run."""
        return self._process.identity.pid if self._process is not None and self._process.alive else None

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
        recorded = self._recorded()
        process = Process.open(recorded) if recorded is not None else None
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
        self._hold(await asyncio.to_thread(self._spawn))

    async def exited(self) -> None:
        """Returns when it has ended (at once when it does not run)."""
        if self._process is not None:
            await self._process.wait()

    async def stop(self, grace_s: float = 3.0) -> None:
        """End it: gracefully, then not. Returns when it is gone."""
        process, self._process = self._process, None
        if process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            process.send(number)
            if await process.wait(grace_s):
                break
        process.reap()
        process.close()

    async def end_stuck(self) -> None:
        """End one that does not answer."""
        await self.stop(grace_s=0.2)

    def forget(self) -> None:
        """Let go of it without touching it."""
        if self._process is not None:
            self._process.reap()
            self._process.close()
            self._process = None

    def why(self) -> str:
        """What it wrote as its reason since it was started; empty when nothing."""
        return sentence(tail(self.log, self._mark))

    # -- the parts ------------------------------------------------------------------------------------

    def _spawn(self) -> Process:
        """What the broker writes into its list of clients goes into a copy: the file itself is ours."""
        command = [find(self._program), "-c", str(self.config)]
        write_atomic(self._home.mosquitto_run / self.security.name, self.security.read_bytes(), 0o600)
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as output:
            self._mark = os.fstat(output.fileno()).st_size
            child = subprocess.Popen(
                command,
                cwd=self._home.mosquitto,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                umask=0o077,
            )
        try:
            identity = pidfd.identify(child.pid)
            process = Process.open(identity) if identity is not None else None
            if process is None:
                raise ConfigRefused(self.why() or "Mosquitto ended at once", hint=f"Its log: {self.log}")
            write_atomic(self._record, msgspec.json.encode(identity), mode=0o600)
        except BaseException:
            # One that nobody could adopt must not keep the ports, nor its entry in the process table.
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            child.wait()
            raise
        # From here on the pidfd is what reaps it; Popen must not warn about a child that lives on.
        child.returncode = 0
        return process

    def _hold(self, process: Process) -> None:
        self.forget()
        self._process = process

    @property
    def _record(self) -> Path:
        return self._home.run / "mosquitto.json"

    def _recorded(self) -> Identity | None:
        try:
            identity = msgspec.json.decode(self._record.read_bytes(), type=Identity)
        except (OSError, msgspec.DecodeError):
            return None
        return identity if identity.boot_id == pidfd.boot_id() else None
