"""Node-RED's life: one worker carries out commands and reacts to what the process does, one at a time.

stopped ─start─► loading ─► (installing) ─► starting ─► running | safe ─restart─► the same, a successor gets ready
   ▲                 ▲                                         │                            │
   └──stop── any     └──── back-off ◄── crashed ◄──────────────┘                            └─► loading ─► starting
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import msgspec

from launcher import health, logout
from launcher.appliance import Appliance
from launcher.child import Child, Events
from launcher.config import Options
from launcher.crashloop import CrashLoop, Retry, after_loop
from launcher.inbox import Inbox, Prepared, RetryDue
from launcher.loglines import Log
from launcher.prepare import Launch, Preparer, Progress, StartFailed, Suspended
from launcher.process import Process, StillAlive
from launcher.schema import Command, Info, Settings, State
from launcher.status import Status
from launcher.supervision import Exited, FlowsChanged, Hung, Listening, Supervision

log = logging.getLogger(__name__)

GRACE_S = 10.0
_HUNG_GRACE_S = 1.0  # it can't even take note of SIGTERM
HOLD_S = 2.0  # longer pauses are told to clients instead of letting them wait


class NodeRed:
    """The one Node-RED of this launcher. `run` is its worker; everything else may be called at any time."""

    def __init__(
        self,
        options: Options,
        appliance: Appliance,
        preparer: Preparer,
        log: Log,
        loop_policy: CrashLoop,
        versions: dict[str, str],
        clock: Callable[[], float] = time.monotonic,
        events: Events | None = None,
    ) -> None:
        self._options, self._preparer, self._log = options, preparer, log
        self._policy, self._clock = loop_policy, clock
        self._inbox = Inbox()
        self._runs = Supervision(options, log, self._inbox.tell, events or {}, clock)
        self.status = Status(options, appliance, versions, lambda: self._runs.pid, clock)
        self._wanted: bool | None = None  # None until the settings document says
        self._quitting = self._safe = False
        self._after_loop, self._hot_spare = "safe", False
        self._interval_s = health.INTERVAL_S * options.pace
        self._preparing: asyncio.Task[Launch | None] | None = None
        self._restart: Command | None = None  # a restart that is being prepared beside a Node-RED that serves
        self._doing = ""
        self._complaint = ("", "")  # why the last restart was not carried out
        self._retry: asyncio.TimerHandle | None = None

    @property
    def process(self) -> Process | None:
        """The living process, if there is one."""
        return self._runs.child.process if self._runs.child is not None and self._runs.pid is not None else None

    def info(self) -> Info:
        """What is true now."""
        return self.status.info(self._runs.started_ms, self._runs.up_at is not None)

    def submit(self, command: Command) -> None:
        """Queue a command; one whose generation was already taken in is passed over. Raises Busy."""
        self._inbox.submit(command)

    def correct(self, wish: int) -> None:
        """The newest wish there is: what was kept of it, and a flow may have written, is not to hide the next ones."""
        if self._inbox.accepted > wish:
            self._inbox.accepted = self.status.generation = wish
            self.status.again()

    def quit(self) -> None:
        """Stop Node-RED and end `run`; what else waits is left undone."""
        self._quitting = True
        self._inbox.tell(None)  # wakes the worker

    async def run(self) -> None:
        """Carry out what comes in until `quit`; first of all start, when that is wanted."""
        self._begin()
        while not self._quitting:
            await self._take(await self._inbox.next())
        if await self._halt():
            self._runs.close()
        self._preparer.release()
        self.status.set(State.STOPPED, "launcher_stopped", "The launcher was stopped.")

    async def _take(self, event: Any) -> None:
        match event:
            case Command(cmd="start"):
                self._start_command(event)
            case Command(cmd="stop"):
                await self._stop_command(event)
            case Command(cmd="restart"):
                await self._restart_command(event)
            case Command(cmd="logout"):
                if self._runs.up_at is not None:
                    await logout.revoke(self._runs.url("/auth/revoke"), event.token)
            case Prepared(task=task) if task is self._preparing:
                await self._prepared(task)
            case Exited(child=child) if child is self._runs.child:
                await self._exited(child)
            case Listening(child=child) if child is self._runs.child:
                self._listening(child)
            case Hung(child=child) if child is self._runs.child:
                await self._hung(event)
            case FlowsChanged():
                self._show()
            case RetryDue() if self._wanted is not False and self._runs.child is None and self._preparing is None:
                self._retry_due(event.launch)

    # Commands

    def _start_command(self, command: Command) -> None:
        self._wanted = True
        if self._runs.child is None and self._preparing is None:
            self._asked_for(command)
            self._carried_out(command)
            self._begin()
        else:
            self._carried_out(command, report=True)

    async def _stop_command(self, command: Command) -> None:
        self._wanted = False
        had_process = self.process is not None
        if await self._halt():
            self._preparer.release()
            self._safe = False
            self._policy.reset()
            self._carried_out(command)
            self.status.set(State.STOPPED, always=command.generation is not None)
            if had_process:
                self.status.audit("stopped")

    async def _restart_command(self, command: Command) -> None:
        self._wanted = True
        if self._runs.up_at is not None and not command.now:
            await self._cancel_preparing()
            self._runs.successor.keep(None, None)
            self._asked_for(command)
            self._restart, self._doing = command, "A restart was asked for: its successor gets ready."
            self._begin()
        else:
            await self._restart_plainly(command)

    async def _restart_plainly(self, command: Command) -> None:
        """Nothing serves that would go on meanwhile."""
        self.status.set(State.LOADING, "restart", "Restarting: waiting for Node-RED to end.")
        if await self._halt(0.0 if command.now else GRACE_S):
            self._asked_for(command)
            self._carried_out(command)
            self._begin()

    def _asked_for(self, command: Command) -> None:
        """Somebody wants a start: what went wrong before does not count."""
        self._policy.reset()
        self._preparer.try_again()
        self._safe = command.safe

    def _carried_out(self, command: Command, report: bool = False) -> None:
        if command.generation is not None:
            self.status.generation = max(self.status.generation, command.generation)
            if report:
                self.status.again()

    # Starting

    def _begin(self) -> None:
        self._cancel_retry()
        if self._restart is None:
            self.status.set(State.LOADING, "", "Reading the settings.", always=True)
        else:
            self._show()
        task = asyncio.create_task(self._prepare(), name="prepare")
        task.add_done_callback(lambda done: self._inbox.tell(Prepared(done)))
        self._preparing = task

    async def _prepare(self) -> Launch | None:
        serving = self._runs.child
        settings = await self._preparer.settings(self._progress)
        self._adopt(settings)
        if not self._wanted:
            return None
        launch = await self._preparer.prepare(settings, safe=self._safe, say=self._progress)
        if serving is not None:
            await self._runs.successor.ready(launch, serving)
        return launch

    def _progress(self, progress: Progress) -> None:
        if self._runs.up_at is not None:
            self._doing = f"A restart was asked for. {progress.message}"
            self._show()
        else:
            self.status.holding = False  # this may take long
            self.status.set(progress.state, progress.reason, progress.message)

    def _adopt(self, settings: Settings) -> None:
        if self._wanted is None:
            self._wanted = "stopped" not in (settings.weir.desired, settings.state)
            self.status.generation = max(self.status.generation, settings.weir.commandGeneration)
            self._inbox.accepted = max(self._inbox.accepted, self.status.generation)
        self._after_loop = after_loop(settings.weir.crashPolicy, settings.disableAutoSafeMode is True)
        self._hot_spare = settings.weir.hotSpare
        if (interval := settings.healthCheckInterval or 0) > 1000:
            self._interval_s = interval / 1000 * self._options.pace

    async def _prepared(self, task: asyncio.Task[Launch | None]) -> None:
        self._preparing = None
        restart, self._restart = self._restart, None
        try:
            if (launch := task.result()) is None:
                self.status.set(State.STOPPED, always=True)
            elif restart is None:
                self._spawn(launch)
            else:
                await self._replace(launch, restart)
        except asyncio.CancelledError:
            return
        except Suspended as error:
            self._wanted = False
            if await self._halt():
                self._preparer.release()
                self.status.set(State.STOPPED, "suspended", str(error))
        except StartFailed as error:
            self._not_started(error.reason, str(error), restart)
        except Exception as error:  # noqa: BLE001 - the task supervisor is one of the four boundaries
            log.exception("start failed")
            self._not_started("unexpected_error", f"{type(error).__name__}: {error}", restart)

    async def _replace(self, launch: Launch, command: Command) -> None:
        """The successor takes over; started only now where there is none."""
        self.status.holding = True
        self.status.set(State.LOADING, "restart", "Restarting: Node-RED finishes what it has begun.")
        if await self._end_process():
            self._carried_out(command)
            self._spawn(launch)

    def _not_started(self, reason: str, message: str, restart: Command | None) -> None:
        if restart is not None:
            self._carried_out(restart)
        if self._runs.up_at is None or self._runs.child is None:
            self._failed(reason, message)
            return
        # Whatever is wrong with the new start, the flows that run are worth more than an attempt.
        self._log.system(f"The restart was not carried out: {message}")
        self.status.audit("start-failed", error={"code": reason, "error": message})
        self._complaint = (reason, f"The restart was not carried out, what ran goes on: {message}")
        self._safe, self.status.holding = self._runs.child.launch.safe, False
        if self._hot_spare:
            self._runs.successor.keep(self._runs.child.launch, self._runs.child)
        self._show(always=True)

    def _spawn(self, launch: Launch) -> None:
        try:
            self._runs.start(launch)
        except StartFailed as error:
            self._failed(error.reason, str(error))
        else:
            self.status.set(State.STARTING, "", "Node-RED is starting.")

    def _listening(self, child: Child) -> None:
        self._runs.serves(child, self._interval_s, spare=self._hot_spare)
        self._complaint, self.status.holding = ("", ""), False
        self._show()
        if self.status.state is State.SAFE:
            self.status.audit("safe-mode")

    def _show(self, always: bool = False) -> None:
        """Say how the one that serves is doing; nothing while none does."""
        if self._runs.child is None or self._runs.up_at is None:
            return
        launch, state = self._runs.child.launch, State.RUNNING
        if launch.safe and self._runs.flows.running and self._restart is None:
            self._safe = False  # somebody deployed: what starts after a crash is what he wanted to run
        reason, message = self._complaint if self._complaint[0] else launch.note
        if launch.safe and not self._runs.flows.running:
            state, message = State.SAFE, "Safe mode: the flows are stopped. Repair, deploy, restart."
            reason = "crash_loop" if self._policy.looping else "safe_mode"
        elif self._runs.flows.reason:
            reason, message = self._runs.flows.reason, self._runs.flows.message
        if self._restart is not None:
            reason, message = "restart", self._doing
        self.status.set(state, reason, message, always=always)

    # Failing

    async def _exited(self, child: Child) -> None:
        ran_s = self._runs.ran_s()
        self._log.last_words(f"Node-RED exited {child.ended}")
        reason, message = self._runs.why_ended(child)
        await self._runs.forget()
        self._ended(child, reason, message, ran_s)

    async def _hung(self, event: Hung) -> None:
        ran_s = self._runs.ran_s()
        self._log.last_words(event.message)
        if await self._end_process(_HUNG_GRACE_S):
            self._ended(event.child, event.reason, event.message, ran_s)

    def _ended(self, child: Child, reason: str, message: str, ran_s: float) -> None:
        """It ended and nobody wanted it to."""
        if reason == "no_flows" and self._restart is None:
            self._failed(reason, message)
            return
        tail = [msgspec.Raw(body) for body in self._log.tail(child.log_stamp)]
        info = {"code": child.ended.code, "signal": child.ended.signal, "info": message}
        self.status.audit("crashed", info=info, __launcherLog=tail)
        if self._restart is not None:  # its successor is as good as there
            self._runs.successor.hurry()
            self.status.holding = True
            self.status.set(State.LOADING, "restart", f"{message} Its successor takes over.")
        elif not self._wanted:
            self.status.set(State.STOPPED, reason, message)
        else:
            ran = child.launch if ran_s > 0 and child.launch.safe == self._safe else None
            self._again(self._policy.crashed(self._clock(), ran_s), reason, message, ran)

    def _failed(self, reason: str, message: str) -> None:
        log.warning("Node-RED could not be started: %s", message)  # where nobody can ask for our own log
        self._log.system(f"Node-RED could not be started: {message}")
        self.status.audit("start-failed", error={"code": reason, "error": message})
        self._again(self._policy.failed(), reason, message)

    def _again(self, retry: Retry, reason: str, message: str, ran: Launch | None = None) -> None:
        """Start again when the policy says; what was up (`ran`) as it was if at once, else from new settings."""
        launch, delay_s = ran, retry.delay_s
        if retry.loop and self._after_loop == "stop":
            self._give_up(retry, message)
            return
        if retry.loop and self._after_loop == "safe" and not self._safe:
            self._safe, delay_s, launch = True, min(1.0, delay_s), None  # the loop ends here: nothing to wait for
            self._log.system(f"{retry.crashes} crashes in a row: starting in safe mode")
        self._cancel_retry()
        due = RetryDue(launch if delay_s == 0 else None)
        self._retry = asyncio.get_running_loop().call_later(delay_s, self._inbox.tell, due)
        self.status.holding = ran is not None and delay_s <= HOLD_S
        self.status.set(State.CRASHED, reason, f"{message} Next start in {delay_s:.0f} s.", next_try_s=delay_s)

    def _give_up(self, retry: Retry, message: str) -> None:
        self._log.system(f"{retry.crashes} crashes in a row: stopped, as the crash policy of this instance says")
        self._wanted, self.status.holding = False, False
        self._runs.successor.drop()
        self._preparer.release()
        message += f" {retry.crashes} crashes in a row: stopped. Repair it and start it."
        self.status.set(State.CRASHED, "crash_loop", message)

    def _retry_due(self, launch: Launch | None) -> None:
        self._spawn(launch) if launch is not None else self._begin()

    # Ending

    async def _halt(self, grace_s: float = GRACE_S) -> bool:
        """End whatever runs; False when the process can't be ended."""
        self._cancel_retry()
        await self._cancel_preparing()
        await self._runs.successor.end()
        self.status.holding = False
        return await self._end_process(grace_s)

    async def _cancel_preparing(self) -> None:
        task, self._preparing, self._restart = self._preparing, None, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _end_process(self, grace_s: float = GRACE_S) -> bool:
        try:
            await self._runs.stop(grace_s)
        except StillAlive as error:
            self._inbox.accepted = self.status.generation  # the command may be sent again
            self.status.set(State.CRASHED, "unkillable", f"{error}: it hangs in the kernel. Restart the box if so.")
            return False
        return True

    def tell(self, document: dict[str, Any]) -> None:
        """Hand a command to Node-RED; lost where none runs."""
        if self._runs.child is not None:
            self._runs.child.tell(document)

    def kill(self) -> None:
        """End Node-RED at once, without waiting."""
        self._runs.kill()

    def _cancel_retry(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
        self._retry = None
