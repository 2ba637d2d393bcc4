"""Programs of the box that outlive the appliance: held by a pidfd while it runs, found again by the next one.

In development we start them ourselves and leave a note of which process it was (`OwnDaemon`); on an installed box they
are units, asked for by name (`UnitDaemon`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import msgspec

from appliance.errors import Unavailable
from appliance.system import pidfd
from appliance.system.files import write_atomic
from appliance.system.pidfd import Identity, Process
from appliance.system.units import Systemctl, UnitsUnavailable

SBIN = "/usr/sbin:/sbin:/usr/local/sbin"


def which(program: str) -> str | None:
    """The program's path, also where servers are installed: those are not on everybody's PATH."""
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:{SBIN}")


def environment() -> dict[str, str]:
    """What such a program is started with: nothing of ours."""
    return {"PATH": f"/usr/bin:/bin:{SBIN}", "LANG": "C.UTF-8"}


class Daemon(ABC):
    """One of them. Not for use from two tasks at once."""

    def __init__(self) -> None:
        self._process: Process | None = None

    @property
    def pid(self) -> int | None:
        """Of its main process, None when it does not run."""
        return self._process.identity.pid if self._process is not None and self._process.alive else None

    @abstractmethod
    def adopt(self) -> bool:
        """Take over the one that runs, if one does; whether one does. Blocks."""

    @abstractmethod
    async def start(self) -> None:
        """Have it run with the files in place. Raises Unavailable, OSError."""

    @abstractmethod
    async def stop(self, grace_s: float = 3.0) -> None:
        """End it, gracefully at first. Returns when it is gone."""

    @abstractmethod
    async def end_stuck(self) -> None:
        """End what does not answer of it."""

    async def exited(self) -> None:
        """Returns when it has ended (at once when it does not run)."""
        if self._process is not None:
            await self._process.wait()

    def forget(self) -> None:
        """Let go of it without touching it."""
        if self._process is not None:
            self._process.reap()
            self._process.close()
            self._process = None

    def _hold(self, process: Process) -> None:
        self.forget()
        self._process = process


class OwnDaemon(Daemon):
    """One that we start, in a session of its own. `record` is the file in which it is noted."""

    def __init__(self, record: Path) -> None:
        super().__init__()
        self._record = record

    def _recorded(self) -> Identity | None:
        """The one that was started last, by whichever appliance, alive or not; None after a boot."""
        try:
            identity = msgspec.json.decode(self._record.read_bytes(), type=Identity)
        except (OSError, msgspec.DecodeError):
            return None
        return identity if identity.boot_id == pidfd.boot_id() else None

    def _found(self) -> Process | None:
        """That one, where it lives."""
        recorded = self._recorded()
        return Process.open(recorded) if recorded is not None else None

    def _spawn(self, command: Sequence[str], *, cwd: Path, output: int, umask: int = -1) -> Process | None:
        """Start it and note which process it is; None when it ended at once. Blocks. Raises OSError (a full disk, no
        descriptors): then nothing of it runs."""
        child = subprocess.Popen(
            command,
            cwd=cwd,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            umask=umask,
        )
        with contextlib.ExitStack() as undo:
            undo.callback(_kill, child)
            process = Process.of(child.pid)
            if process is None:
                return None
            undo.callback(process.close)
            write_atomic(self._record, msgspec.json.encode(process.identity), mode=0o600)
            undo.pop_all()
        # From here on the pidfd is what reaps it; Popen must not warn about a child that lives on.
        child.returncode = 0
        return process

    async def _end(self, numbers: Sequence[signal.Signals], grace_s: float) -> None:
        """Send it these, each after `grace_s` in which it did not end; returns when it is gone."""
        process, self._process = self._process, None
        if process is None:
            return
        for number in numbers:
            process.send(number)
            if await process.wait(grace_s):
                break
        process.reap()
        process.close()


def _kill(child: subprocess.Popen[bytes]) -> None:
    """One that nobody could adopt must not keep the ports, nor its entry in the process table; and processes that it
    has started would serve on without it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


class UnitDaemon(Daemon):
    """One that systemd runs as `unit`, by an account of its own: we can neither start nor signal it ourselves."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit
        self._systemctl = Systemctl()

    def adopt(self) -> bool:
        """Take note of the one that runs; whether one does. Blocks."""
        self.forget()
        pid = self._main_pid()
        self._process = Process.of(pid) if pid else None
        return self._process is not None

    async def stop(self, grace_s: float = 3.0) -> None:
        """Stop the unit: systemd kills what does not end. Returns when all of it is gone, or systemd did not manage
        that in its own time, whatever `grace_s` says."""
        self.forget()
        with contextlib.suppress(Unavailable):
            await self._ask("stop", self._unit)

    async def end_stuck(self) -> None:
        """End all of one that does not answer; the next round starts it again."""
        await self.stop()

    async def _ask(self, verb: str, unit: str) -> None:
        try:
            await self._systemctl.run(verb, "--", unit)
        except UnitsUnavailable as error:
            raise Unavailable(f"{unit}: {error}", hint=f"See why: systemctl status {unit}") from error

    def _main_pid(self) -> int:
        try:
            return self._systemctl.units(self._unit)[0].main_pid
        except (UnitsUnavailable, IndexError):
            return 0
