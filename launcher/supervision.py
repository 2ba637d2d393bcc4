"""The processes of one instance: the Node-RED that serves, its successor, and what happens to them.

What happens is told as events to the worker (launcher/node_red.py), which alone decides what follows.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from launcher import health, orphan, strays
from launcher.child import Child, Events
from launcher.config import Options
from launcher.control import Kept
from launcher.diagnosis import diagnose
from launcher.flowstate import FlowState
from launcher.loglines import Log
from launcher.memory import Kills, Memory
from launcher.prepare import Launch, StartFailed
from launcher.process import reason
from launcher.successor import Successor

START_S = 180.0


class Exited(Struct, frozen=True):
    child: Child


class Listening(Struct, frozen=True):
    child: Child


class Hung(Struct, frozen=True):
    """It has not come up (`reason` start_timeout) or does not answer any more (hung)."""

    child: Child
    reason: str
    message: str


class FlowsChanged(Struct, frozen=True):
    """The flows were started or stopped; `Supervision.flows` says which."""


class Supervision:
    """At most one Node-RED that serves (`child`) and at most one that waits. `tell` takes the events above."""

    def __init__(
        self,
        options: Options,
        log: Log,
        tell: Callable[[Any], None],
        events: Events,
        clock: Callable[[], float] = time.monotonic,
        memory: Memory | None = None,
    ) -> None:
        self._options, self._log, self._tell, self._clock = options, log, tell, clock
        self._memory = memory or Memory()
        self._events = dict(events)
        self.child: Child | None = None
        self.up_at: float | None = None  # since when it serves
        self.flows = FlowState(lambda: tell(FlowsChanged()))
        self.successor = Successor(lambda launch: self._create(launch, standby=True), log, self._memory, options.pace)
        self._watching: asyncio.Task[None] | None = None
        self._kept = Kept()
        self._kills = Kills()
        self._all_seen = True  # what the last one left behind

    @property
    def pid(self) -> int | None:
        """Of the living Node-RED that serves or is about to."""
        return self.child.pid if self.child is not None and self.child.alive else None

    @property
    def started_ms(self) -> int:
        return self.child.started_ms if self.child is not None else -1

    def ran_s(self) -> float:
        """How long it has served; 0 when it never came up."""
        return self._clock() - self.up_at if self.up_at is not None else 0.0

    def start(self, launch: Launch) -> None:
        """Let the successor take over, or a new process where none fits. Raises StartFailed."""
        self._look_again()
        child = self.successor.take(launch) or self._create(launch)
        self.successor.drop()  # one for other settings fits no later start either
        child.boot(launch)
        self.child, self._kills = child, self._memory.kills()
        child.process.exited.add_done_callback(lambda _: self._tell(Exited(child)))
        self._log.system("Starting Node-RED" + (" in safe mode" if launch.safe else ""))
        self._watch(self._wait_for_start(child))

    def serves(self, child: Child, interval_s: float, *, spare: bool) -> None:
        """It has come up: watch over it, and keep a spare for it if wanted."""
        self.up_at = self._clock()
        self._watch(self._wait_for_hang(child, interval_s))
        if spare:
            self.successor.keep(child.launch, child)

    def why_ended(self, child: Child) -> tuple[str, str]:
        """A word and a sentence; to be asked before `forget`."""
        tail, served = self._log.tail(child.log_stamp), self.up_at is not None
        return diagnose(child.ended, tail, self._kills, self._memory.kills(), served=served)

    async def stop(self, grace_s: float) -> None:
        """End the one that serves, if there is one. Raises StillAlive."""
        if (child := self.child) is None:
            return
        self._watch(None)
        self._log.system("Stopping Node-RED")
        ended = await child.process.stop(grace_s)
        await self.forget()
        self._log.system(f"Node-RED exited {ended}")

    async def forget(self) -> None:
        """It has ended: let go of it, and end what it leaves behind."""
        self._watch(None)
        self.successor.keep(None, None)
        self.flows.forget()
        if self.child is not None:
            self.child.close()
        self.child = self.up_at = None
        self._all_seen = await strays.end(self._log.system)

    def close(self) -> None:
        """All has been ended: nothing is left for another launcher to end."""
        orphan.forget(self._options.node_red_note)

    def kill(self) -> None:
        """End it at once, without waiting; a successor ends with our end of its channel."""
        if self.child is not None:
            self.child.process.signal_group(signal.SIGKILL)

    def url(self, path: str) -> str:
        """Where it answers."""
        root = self.child.launch.admin_root if self.child is not None else ""
        return f"http://127.0.0.1:{self._options.node_red_port}{root}{path}"

    def _look_again(self) -> None:
        """Nothing of a flow is to meet the next run of it."""
        if not self._all_seen:
            try:
                strays.kill()
            except OSError as error:
                message = f"It can't be seen what the flows have left behind: {reason(error)}."
                raise StartFailed("spawn_failed", message) from error
            self._all_seen = True

    def _create(self, launch: Launch, *, standby: bool = False) -> Child:
        untold: list[Child] = []  # the first "listening" only is passed on: a flow may say it as often as it likes

        def listening(_: msgspec.Raw) -> None:
            if untold:
                self._tell(Listening(untold.pop()))

        flows = {"flows-started": self.flows.started, "flows-stopped": self.flows.stopped}
        events = {**self._events, **flows, "listening": listening}
        child = Child(launch, self._options.storage, self._log, self._kept, events, standby=standby)
        untold.append(child)
        with contextlib.suppress(OSError):  # only a launcher that comes after our sudden death would miss it
            orphan.note(self._options.node_red_note, *(pid for pid in (self.pid, child.pid) if pid is not None))
        return child

    def _watch(self, waiting: Any) -> None:
        if self._watching is not None:
            self._watching.cancel()
        self._watching = asyncio.create_task(waiting, name="watch") if waiting is not None else None

    async def _wait_for_start(self, child: Child) -> None:
        await asyncio.sleep(START_S)
        self._tell(Hung(child, "start_timeout", f"Node-RED did not open its port within {START_S:.0f} s."))

    async def _wait_for_hang(self, child: Child, interval_s: float) -> None:
        self._tell(Hung(child, "hung", await health.wedged(self.url("/"), child.pid, interval_s)))
