"""Our own nginx process: tested, started, adopted, reloaded, ended. It outlives the appliance on purpose.

The master runs in a session of its own, so that its workers can be told from every other nginx on the machine, also
when the master is gone: a session's number stays taken as long as one of its processes lives.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from pathlib import Path

from appliance.config import Home
from appliance.errors import Unavailable
from appliance.proxy.answering import Answering
from appliance.proxy.family import account, command_line, members, pids, stopped
from appliance.proxy.program import ConfigRefused, find, reason, sentence
from appliance.system import logfiles, pidfd
from appliance.system.daemon import OwnDaemon
from appliance.system.pidfd import Process

_TEST_DEADLINE_S = 20.0
_ANSWER_DEADLINE_S = 10.0
_START_DEADLINE_S = 15.0


class Nginx(OwnDaemon):
    """The nginx of one home. Not for use from two tasks at once."""

    def __init__(self, home: Home, program: str = "nginx") -> None:
        super().__init__(home.run / "nginx.json")
        self._home = home
        self._program = program
        self.config = home.nginx / "nginx.conf"
        self.log = home.nginx_log
        self.answering = Answering(home, lambda: self.pid)

    def prepare(self) -> None:
        """Make the directories that nginx needs. Raises OSError."""
        for directory in (self._home.nginx_scratch, self._home.logs, self._home.run / "up"):
            directory.mkdir(parents=True, exist_ok=True)

    async def test(self, config: Path) -> None:
        """Ask nginx whether it takes `config`; raises ConfigRefused with its sentence, or NginxMissing."""
        command = [*self._command(config), "-t", "-q"]
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=self._home.nginx,
        )
        try:
            # Not wait_for: before Python 3.12 it can swallow a cancellation (bpo-37658).
            async with asyncio.timeout(_TEST_DEADLINE_S):
                output, _ = await process.communicate()
        except TimeoutError as error:
            raise ConfigRefused(f"nginx -t did not answer within {_TEST_DEADLINE_S:.0f} s") from error
        finally:
            await _ended(process)
        if process.returncode != 0:
            text = output.decode(errors="replace")
            raise reason(text) or ConfigRefused(sentence(text) or f"nginx -t ended with {process.returncode}")

    def adopt(self) -> bool:
        """Take over the nginx that runs with our configuration, if one does: proven by what it was started with."""
        process = self._found()
        if process is None:  # the record is lost or old: look for its command line
            process = next(filter(None, map(self._open_master, pids())), None)
        if process is not None:
            self._hold(process)
        return process is not None

    async def start(self) -> None:
        """Start with the configuration in place; returns when it answers.

        Raises PortTaken, ConfigRefused or NginxMissing; then nothing of it is left running.
        """
        if self._process is not None:
            self._process.reap()  # now: this start may fail
        await self._end_orphans()
        logfiles.set_aside(self.log)
        self._home.nginx_socket.unlink(missing_ok=True)  # nginx never removes a dead one's socket
        mark = self.answering.mark()
        process = await asyncio.to_thread(
            # What it says, it writes to its log as well.
            lambda: self._spawn(self._command(self.config), cwd=self._home.nginx, output=subprocess.DEVNULL)
        )
        if process is None:
            raise self.answering.why(0) or ConfigRefused("nginx ended at once", hint=f"Its log: {self.log}")
        self._hold(process)
        try:
            await self.answering.until(None, _START_DEADLINE_S, mark)
        except Unavailable as error:
            await self.stop()
            raise self.answering.why(mark) or error from error

    async def reload(self, version: str) -> None:
        """Have the running nginx use the configuration in place; returns when new workers answer with `version`.

        Raises PortTaken or ConfigRefused; then the configuration before is still in use.
        """
        if self._process is None or not self._process.alive:
            raise Unavailable("nginx does not run")
        mark = self.answering.mark()
        self._process.send(signal.SIGHUP)
        try:
            await self.answering.until(version, _ANSWER_DEADLINE_S, mark)
        except Unavailable as error:
            raise self.answering.why(mark) or error from error

    async def end_stuck(self) -> None:
        """End stopped workers, whose master starts others; when it is stopped itself, or nothing is and there is no
        answer all the same, everything."""
        if self._process is None:
            return
        master = self._process.identity.pid
        found = await asyncio.to_thread(stopped, master)
        for process in members(master):
            if not found or master in found or process.identity.pid in found:
                process.send(signal.SIGKILL)
                await process.wait(3)
                process.reap()
            process.close()
        if not found and self._process.alive:  # not a nginx of a session of its own, whatever it calls itself
            self._process.send(signal.SIGKILL)
            await self._process.wait(3)

    async def stop(self, grace_s: float = 3.0) -> None:
        """End the process: gracefully, then not. Returns when master and workers are gone."""
        await self._end((signal.SIGQUIT, signal.SIGTERM, signal.SIGKILL), grace_s)
        await self._end_orphans()

    def rotate_log(self) -> None:
        """Keep the log within two files of 5 MB. Raises OSError."""
        if logfiles.set_aside(self.log) and self._process is not None:
            self._process.send(signal.SIGUSR1)  # reopen

    # -- the parts ------------------------------------------------------------------------------------

    def _command(self, config: Path) -> list[str]:
        return [find(self._program), "-p", str(self._home.nginx), "-c", str(config), "-e", str(self.log)]

    def _open_master(self, pid: int) -> Process | None:
        if not self._is_master(pid):
            return None
        process = Process.of(pid)
        if process is not None and not self._is_master(pid):  # another one had the number by then
            process.close()
            return None
        return process

    def _is_master(self, pid: int) -> bool:
        line = command_line(pid)
        ours = f" -p {self._home.nginx} -c {self.config} " in f"{line} "
        # Any process may call itself so: one of another account is no nginx that we started.
        return ours and line.startswith("nginx: master process") and account(pid) == os.geteuid()

    async def _end_orphans(self) -> None:
        """Workers whose master was killed keep its ports: end them. Only those of our master's session."""
        recorded = self._recorded()
        if recorded is None or pidfd.is_alive(recorded):
            return
        for process in members(recorded.pid):
            process.send(signal.SIGKILL)
            await process.wait(3)
            process.close()


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Leave nothing of a helper process behind, also when the caller was cancelled."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
