"""Node-RED's life: one worker carries out commands and reacts to what the process does, one at a time.

stopped ─start─► loading ─► (installing) ─► starting ─► running | safe
   ▲                 ▲                                     │
   └──stop── any     └──────── back-off ◄── crashed ◄──────┘
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from launcher import health, http, orphan
from launcher.appliance import Appliance
from launcher.config import Options
from launcher.control import Control, Kept
from launcher.crashloop import CrashLoop, Retry
from launcher.diagnosis import diagnose
from launcher.loglines import Log, Splitter
from launcher.prepare import Launch, Preparer, Progress, StartFailed, Suspended
from launcher.process import Exit, Process, SpawnFailed, StillAlive, spawn
from launcher.schema import Command, Info, Settings, State
from launcher.status import Status

log = logging.getLogger(__name__)

GRACE_S = 10.0
_HUNG_GRACE_S = 1.0  # it can't even take note of SIGTERM
START_S = 180.0
INBOX = 100


class Busy(Exception):
    """Too many commands wait; the sender may try again."""


class _Exited(Struct, frozen=True):
    process: Process


class _Listening(Struct, frozen=True):
    process: Process


class _Prepared(Struct, frozen=True):
    task: asyncio.Task[Launch | None]


class _Hung(Struct, frozen=True):
    process: Process
    message: str


class _RetryDue(Struct, frozen=True):
    pass


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
    ) -> None:
        self._options, self._preparer, self._log = options, preparer, log
        self._policy, self._clock = loop_policy, clock
        self.status = Status(options, appliance, versions, self._pid, clock)
        self._inbox: asyncio.Queue[Any] = asyncio.Queue()
        self._accepted = -1  # the newest wish taken in
        self._wanted: bool | None = None  # None until the settings document says
        self._quitting = False
        self._safe = False
        self._auto_safe = True
        self._interval_s = health.INTERVAL_S
        self._process: Process | None = None
        self._control: Control | None = None
        self._preparing: asyncio.Task[Launch | None] | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._watching: asyncio.Task[None] | None = None
        self._launch: Launch | None = None
        self._kept = Kept()
        self._up_at: float | None = None
        self._spawned_ms = -1
        self._spawned_at = 0  # stamp of the last log entry before it

    @property
    def process(self) -> Process | None:
        """The living process, if there is one."""
        return self._process if self._process is not None and self._process.alive else None

    def info(self) -> Info:
        """What is true now."""
        return self.status.info(self._spawned_ms, self._up_at is not None)

    def _pid(self) -> int | None:
        return self.process.pid if self.process is not None else None

    def submit(self, command: Command) -> None:
        """Queue a command; one whose generation was already taken in is passed over. Raises Busy."""
        if command.generation is not None and command.generation <= self._accepted:
            return
        if self._inbox.qsize() >= INBOX:
            raise Busy("too many commands wait")
        if command.generation is not None:
            self._accepted = command.generation
        self._inbox.put_nowait(command)

    def quit(self) -> None:
        """Stop Node-RED and end `run`; what else waits is left undone."""
        self._quitting = True
        self._inbox.put_nowait(None)  # wakes the worker

    async def run(self) -> None:
        """Carry out what comes in until `quit`; first of all start, when that is wanted."""
        self._begin()
        while not self._quitting:
            await self._take(await self._inbox.get())
        self._wanted = False
        await self._halt()
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
                await self._logout(event.token)
            case _Prepared(task=task) if task is self._preparing:
                self._prepared(task)
            case _Exited(process=process) if process is self._process:
                self._exited(process.exited.result())
            case _Listening(process=process) if process is self._process:
                self._listening(process)
            case _Hung(process=process) if process is self._process:
                await self._hung(event.message)
            case _RetryDue() if self._wanted is not False and self._process is None and self._preparing is None:
                self._begin()

    # Commands

    def _start_command(self, command: Command) -> None:
        self._wanted = True
        if self._process is None and self._preparing is None:
            self._policy.reset()
            self._safe = command.safe
            self._cancel_retry()
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
        self.status.set(State.LOADING, "restart", "Restarting: waiting for Node-RED to end.")
        if await self._halt():
            self._policy.reset()
            self._safe = command.safe
            self._carried_out(command)
            self._begin()

    async def _logout(self, token: str) -> None:
        if self._up_at is None or self._launch is None:
            return
        body = msgspec.json.encode({"token": token, "noRedirect": True})
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "Node-RED-API-Version": "v2",
        }
        with contextlib.suppress(http.Unreachable):
            await http.request("POST", self._url("/auth/revoke"), headers=headers, body=body, timeout_s=2)

    def _carried_out(self, command: Command, report: bool = False) -> None:
        if command.generation is not None:
            self.status.generation = max(self.status.generation, command.generation)
            if report:
                self.status.again()

    # Starting

    def _begin(self) -> None:
        self._cancel_retry()
        self.status.set(State.LOADING, "", "Reading the settings.", always=True)
        task = asyncio.create_task(self._prepare(), name="prepare")
        task.add_done_callback(lambda done: self._inbox.put_nowait(_Prepared(done)))
        self._preparing = task

    async def _prepare(self) -> Launch | None:
        settings = await self._preparer.settings(self._progress)
        self._adopt(settings)
        if not self._wanted:
            return None
        return await self._preparer.prepare(settings, safe=self._safe, say=self._progress)

    def _progress(self, progress: Progress) -> None:
        self.status.set(progress.state, progress.reason, progress.message)

    def _adopt(self, settings: Settings) -> None:
        if self._wanted is None:
            self._wanted = "stopped" not in (settings.weir.desired, settings.state)
            self.status.generation = max(self.status.generation, settings.weir.commandGeneration)
            self._accepted = max(self._accepted, self.status.generation)
        if settings.disableAutoSafeMode is not None:
            self._auto_safe = not settings.disableAutoSafeMode
        if (interval := settings.healthCheckInterval or 0) > 1000:
            self._interval_s = interval / 1000

    def _prepared(self, task: asyncio.Task[Launch | None]) -> None:
        self._preparing = None
        try:
            launch = task.result()
            if launch is None:
                self.status.set(State.STOPPED, always=True)
            else:
                self._spawn(launch)
        except asyncio.CancelledError:
            return
        except Suspended as error:
            self._wanted = False
            self.status.set(State.STOPPED, "suspended", str(error))
        except StartFailed as error:
            self._failed(error.reason, str(error))
        except Exception as error:  # noqa: BLE001 - the task supervisor is one of the four boundaries
            log.exception("start failed")
            self._failed("unexpected_error", f"{type(error).__name__}: {error}")

    def _spawn(self, launch: Launch) -> None:
        control = Control(lambda: self._inbox.put_nowait(_Listening(process)), self._kept)
        control.boot(launch.boot)
        out, errors = Splitter(self._log.output), Splitter(self._log.output)
        try:
            process = spawn(
                launch.argv,
                env=launch.env,
                cwd=self._options.storage,
                fds={3: launch.listener, 4: control.child_fd},
                outputs={1: (out.feed, out.flush), 2: (errors.feed, errors.flush)},
            )
        except SpawnFailed as error:
            control.close()
            raise StartFailed("spawn_failed", str(error)) from error
        control.attach()
        process.exited.add_done_callback(lambda _: self._inbox.put_nowait(_Exited(process)))
        self._process, self._control, self._launch = process, control, launch
        with contextlib.suppress(OSError):  # only a launcher that comes after our sudden death would miss it
            orphan.note(self._options.node_red_note, process.pid)
        self._spawned_ms, self._spawned_at = int(time.time() * 1000), self._log.last
        self._log.system("Starting Node-RED" + (" in safe mode" if self._safe else ""))
        self.status.set(State.STARTING, "", "Node-RED is starting.")
        self._watch(self._wait_for_start(process))

    def _listening(self, process: Process) -> None:
        self._up_at = self._clock()
        if self._safe:
            reason = "crash_loop" if self._policy.looping else "safe_mode"
            self.status.set(State.SAFE, reason, "Safe mode: the flows are stopped. Repair, deploy, restart.")
            self.status.audit("safe-mode")
        else:
            self.status.set(State.RUNNING)
        self._watch(self._wait_for_hang(process))

    # Failing

    def _exited(self, ended: Exit) -> None:
        ran_s = self._clock() - self._up_at if self._up_at is not None else 0.0
        self._forget_process()
        self._log.system(f"Node-RED exited {ended}")
        tail = self._log.tail(self._spawned_at)
        reason, message = diagnose(ended, tail)
        if reason == "no_flows":
            return self._failed(reason, message)
        return self._crashed(reason, message, ran_s, tail, ended)

    def _crashed(self, reason: str, message: str, ran_s: float, tail: list[bytes], ended: Exit) -> None:
        info = {"code": ended.code, "signal": ended.signal, "info": message}
        self.status.audit("crashed", info=info, __launcherLog=[msgspec.Raw(body) for body in tail])
        if not self._wanted:
            self.status.set(State.STOPPED, reason, message)
            return
        self._again(self._policy.crashed(self._clock(), ran_s), reason, message)

    def _failed(self, reason: str, message: str) -> None:
        self._log.system(f"Node-RED could not be started: {message}")
        self.status.audit("start-failed", error={"code": reason, "error": message})
        self._again(self._policy.failed(), reason, message)

    def _again(self, retry: Retry, reason: str, message: str) -> None:
        delay_s = retry.delay_s
        if retry.safe and self._auto_safe and not self._safe:
            self._safe, delay_s = True, min(1.0, delay_s)  # the loop ends here: nothing to wait for
            self._log.system(f"{retry.crashes} crashes in a row: starting in safe mode")
        self._cancel_retry()
        self._retry = asyncio.get_running_loop().call_later(delay_s, self._inbox.put_nowait, _RetryDue())
        self.status.set(State.CRASHED, reason, f"{message} Next start in {delay_s:.0f} s.")

    async def _hung(self, message: str) -> None:
        up_at = self._up_at
        self._log.system(message)
        process = self._process
        if process is None or not await self._halt(_HUNG_GRACE_S):
            return
        ran_s = self._clock() - up_at if up_at is not None else 0.0
        tail = self._log.tail(self._spawned_at)
        self._crashed("hung" if up_at is not None else "start_timeout", message, ran_s, tail, process.exited.result())

    async def _wait_for_start(self, process: Process) -> None:
        await asyncio.sleep(START_S)
        self._inbox.put_nowait(_Hung(process, f"Node-RED did not open its port within {START_S:.0f} s."))

    async def _wait_for_hang(self, process: Process) -> None:
        interval_s, url = self._interval_s, self._url("/")
        await health.watch(lambda: health.answers(url, interval_s), interval_s=interval_s)
        silent_s = 2 * health.FAILURES * interval_s
        self._inbox.put_nowait(
            _Hung(process, f"Node-RED has not answered for about {silent_s:.0f} s: its event loop is blocked.")
        )

    # Ending

    async def _halt(self, grace_s: float = GRACE_S) -> bool:
        """End whatever runs; False when the process can't be ended."""
        self._cancel_retry()
        if self._preparing is not None:
            task, self._preparing = self._preparing, None
            task.cancel()
            await asyncio.wait([task])
        if (process := self._process) is None:
            return True
        self._watch(None)
        self._log.system("Stopping Node-RED")
        try:
            ended = await process.stop(grace_s)
        except StillAlive as error:
            self._accepted = self.status.generation  # the command may be sent again
            self.status.set(
                State.CRASHED, "unkillable", f"{error}: it hangs in the kernel. Restart the box if it stays."
            )
            return False
        self._forget_process()
        self._log.system(f"Node-RED exited {ended}")
        return True

    def _forget_process(self) -> None:
        self._watch(None)
        if self._control is not None:
            self._control.close()
        self._process = self._control = self._up_at = None

    def kill(self) -> None:
        """End Node-RED at once, without waiting."""
        if self._process is not None:
            self._process.signal_group(signal.SIGKILL)

    def _watch(self, waiting: Any) -> None:
        if self._watching is not None:
            self._watching.cancel()
        self._watching = asyncio.create_task(waiting, name="watch") if waiting is not None else None

    def _cancel_retry(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _url(self, path: str) -> str:
        root = self._launch.admin_root if self._launch is not None else ""
        return f"http://127.0.0.1:{self._options.node_red_port}{root}{path}"
