"""One process of Node-RED: started, with its control channel and its output, and told who it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from launcher.control import Control, Kept
from launcher.loglines import Log, Splitter
from launcher.prepare import Launch, StartFailed
from launcher.process import Exit, Process, SpawnFailed, reason, spawn

Events = Mapping[str, Callable[[msgspec.Raw], None]]


class Child:
    """A Node-RED, or one that only loads what it will need (`standby`) and waits. It knows no secret before `boot`.

    `warm` is set when it has loaded, or has ended and never will. `log_stamp`: the last log entry before it.
    """

    def __init__(self, launch: Launch, cwd: Path, log: Log, kept: Kept, events: Events, *, standby: bool) -> None:
        """Start it. `events` are those of the control channel. Raises StartFailed."""
        self.launch = launch
        self.warm = asyncio.Event()
        self.booted = False
        self.started_ms, self.log_stamp = int(time.time() * 1000), log.last
        self._log = log
        try:
            self._control = Control({"warm": lambda _: self.warm.set(), **events}, kept)
        except OSError as error:
            raise _spawn_failed(f"{launch.argv[0]} could not be started: {reason(error)}") from error
        if standby:
            self._control.send({"standby": {}})
        self.process = self._spawn(cwd, log)
        self._control.attach()
        self.process.exited.add_done_callback(lambda _: self.warm.set())

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.alive

    @property
    def ended(self) -> Exit:
        """How it ended; only once it has."""
        return self.process.exited.result()

    def suits(self, launch: Launch) -> bool:
        """Whether a start of `launch` would give the same process."""
        ours = self.launch
        return (ours.argv, ours.env, ours.listener) == (launch.argv, launch.env, launch.listener)

    def boot(self, launch: Launch) -> None:
        """Tell it who it is and let it start; `launch` must suit."""
        self.launch, self.booted = launch, True
        self.started_ms, self.log_stamp = int(time.time() * 1000), self._log.last
        self._control.boot(launch.document())

    def tell(self, document: Mapping[str, Any]) -> None:
        """Hand it a command over the control channel; lost when it has ended."""
        self._control.send(document)

    def close(self) -> None:
        """To be called once it has ended."""
        self._control.close()

    def _spawn(self, cwd: Path, log: Log) -> Process:
        out, errors = Splitter(log.output), Splitter(log.output)
        try:
            return spawn(
                self.launch.argv,
                env=self.launch.env,
                cwd=cwd,
                fds={3: self.launch.listener, 4: self._control.child_fd},
                outputs={1: (out.feed, out.flush), 2: (errors.feed, errors.flush)},
            )
        except SpawnFailed as error:
            self._control.close()
            raise _spawn_failed(str(error)) from error


def _spawn_failed(message: str) -> StartFailed:
    return StartFailed("spawn_failed", message.rstrip(".") + ".")
