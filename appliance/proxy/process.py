"""Our own nginx process: tested, started, adopted, reloaded, ended. It outlives the appliance on purpose.

The master runs in a session of its own, so that its workers can be told from every other nginx on the machine, also
when the master is gone: a session's number stays taken as long as one of its processes lives.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import msgspec

from appliance.config import Home
from appliance.errors import Unavailable
from appliance.proxy.family import account, command_line, members, pids, stopped
from appliance.system import pidfd
from appliance.system.files import write_atomic
from appliance.system.pidfd import Identity, Process

_TEST_DEADLINE_S = 20.0
_ANSWER_DEADLINE_S = 10.0
_START_DEADLINE_S = 15.0
_SBIN = "/usr/sbin:/sbin:/usr/local/sbin"
_TAIL_BYTES = 16384
_REFUSED_HINT = "If config.toml explains it, correct it there; else report this: such a text should never be made."
LOG_BYTES = 5 * 2**20


class NginxMissing(Unavailable):
    """The program is not installed."""

    code = "nginx_missing"


class ConfigRefused(Unavailable):
    """nginx said no to this configuration; `str()` is its own sentence."""

    code = "proxy_config_refused"


class PortTaken(Unavailable):
    """Somebody else listens on `port`."""

    code = "port_taken"

    def __init__(self, port: int, message: str, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.port = port


class Nginx:
    """The nginx of one home. Not for use from two tasks at once."""

    def __init__(self, home: Home, program: str = "nginx") -> None:
        self._home = home
        self._program = program
        self._process: Process | None = None
        self.config = home.nginx / "nginx.conf"
        self.log = home.nginx_log

    @property
    def pid(self) -> int | None:
        """Of the master, None when it does not run."""
        return self._process.identity.pid if self._process is not None and self._process.alive else None

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
        recorded = self._recorded()
        process = Process.open(recorded) if recorded is not None else None
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
        self._cap_log()
        self._home.nginx_socket.unlink(missing_ok=True)  # nginx never removes a dead one's socket
        mark = self._log_size()
        self._hold(await asyncio.to_thread(self._spawn))
        try:
            await self._until_answered(None, _START_DEADLINE_S, mark)
        except Unavailable as error:
            await self.stop()
            raise self._why(mark) or error from error

    async def reload(self, version: str) -> None:
        """Have the running nginx use the configuration in place; returns when new workers answer with `version`.

        Raises PortTaken or ConfigRefused; then the configuration before is still in use.
        """
        if self._process is None or not self._process.alive:
            raise Unavailable("nginx does not run")
        mark = self._log_size()
        self._process.send(signal.SIGHUP)
        try:
            await self._until_answered(version, _ANSWER_DEADLINE_S, mark)
        except Unavailable as error:
            raise self._why(mark) or error from error

    async def version(self) -> str:
        """The version of the configuration that nginx answers with; empty when it does not answer."""
        try:
            async with asyncio.timeout(2):
                return await ask_version(self._home.nginx_socket)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return ""

    async def stuck(self) -> str:
        """Why something of it has to be ended although it lives; empty when it answers and nothing of it is stopped."""
        if self._process is None or not self._process.alive:
            return ""
        try:
            if found := await asyncio.to_thread(stopped, self._process.identity.pid):
                return f"process {found[0]} of nginx is stopped (SIGSTOP)"
            async with asyncio.timeout(2):
                if await ask_version(self._home.nginx_socket):
                    return ""
        except OSError as error:
            if pidfd.out_of_descriptors(error):
                return ""  # nobody was asked, and one that is ended now could not be started again
        return "nginx lives and does not answer"

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

    async def exited(self) -> None:
        """Returns when the process has ended (at once when there is none)."""
        if self._process is not None:
            await self._process.wait()

    async def stop(self, grace_s: float = 3.0) -> None:
        """End the process: gracefully, then not. Returns when master and workers are gone."""
        process, self._process = self._process, None
        if process is not None:
            for number in (signal.SIGQUIT, signal.SIGTERM, signal.SIGKILL):
                process.send(number)
                if await process.wait(grace_s):
                    break
            process.reap()
            process.close()
        await self._end_orphans()

    def forget(self) -> None:
        """Let go of the process without touching it."""
        if self._process is not None:
            self._process.reap()
            self._process.close()
            self._process = None

    def rotate_log(self) -> None:
        """Keep the log within two files of 5 MB. Raises OSError."""
        if self._log_size() <= LOG_BYTES:
            return
        self.log.replace(self.log.with_suffix(".log.1"))
        if self._process is not None:
            self._process.send(signal.SIGUSR1)  # reopen

    # -- the parts ------------------------------------------------------------------------------------

    def _command(self, config: Path) -> list[str]:
        program = shutil.which(self._program, path=f"{os.environ.get('PATH', os.defpath)}:{_SBIN}")
        if program is None:
            raise NginxMissing(
                f"nginx is not installed ('{self._program}' was not found)",
                hint="Install it: sudo apt-get install --no-install-recommends nginx-light",
            )
        return [program, "-p", str(self._home.nginx), "-c", str(config), "-e", str(self.log)]

    def _spawn(self) -> Process:
        child = subprocess.Popen(
            self._command(self.config),
            cwd=self._home.nginx,
            env={"PATH": f"/usr/bin:/bin:{_SBIN}", "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # it writes the same to its log
            start_new_session=True,
        )
        process = None
        try:
            identity = pidfd.identify(child.pid)
            process = Process.open(identity) if identity is not None else None
            if process is None:
                raise self._why(0) or ConfigRefused("nginx ended at once", hint=f"Its log: {self.log}")
            write_atomic(self._record, msgspec.json.encode(identity), mode=0o600)
        except BaseException:
            # A full disk, no descriptors: one that nobody could adopt must not keep the ports, nor its entry in the
            # process table.
            if process is not None:
                process.close()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)  # its workers would serve on without it
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
        return self._home.run / "nginx.json"

    def _recorded(self) -> Identity | None:
        try:
            identity = msgspec.json.decode(self._record.read_bytes(), type=Identity)
        except (OSError, msgspec.DecodeError):
            return None
        return identity if identity.boot_id == pidfd.boot_id() else None

    def _open_master(self, pid: int) -> Process | None:
        if not self._is_master(pid):
            return None
        identity = pidfd.identify(pid)
        process = Process.open(identity) if identity is not None else None
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

    async def _until_answered(self, version: str | None, deadline_s: float, mark: int) -> None:
        """Wait for an answer with `version` (any when None); give up early when nginx has ended or said why."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + deadline_s
        while True:
            answer = await self.version()
            if answer and version in (None, answer):
                return
            if self._process is None or not self._process.alive:
                raise ConfigRefused("nginx ended", hint=f"Its log says more: {self.log}")
            if loop.time() > deadline or self._why(mark) is not None:
                raise ConfigRefused(
                    "nginx did not take up the new configuration in time", hint=f"Its log says more: {self.log}"
                )
            await asyncio.sleep(0.02)

    def _log_size(self) -> int:
        try:
            return self.log.stat().st_size
        except FileNotFoundError:
            return 0

    def _cap_log(self) -> None:
        if self._log_size() > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))

    def _why(self, mark: int) -> Unavailable | None:
        """What nginx wrote as its reason since the log was `mark` bytes long."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(mark, self._log_size() - _TAIL_BYTES))
                text = file.read(_TAIL_BYTES).decode(errors="replace")
        except OSError:
            return None
        return reason(text)


async def ask_version(door: Path) -> str:
    """What the nginx behind its own socket says of its configuration. Raises OSError."""
    reader, writer = await asyncio.open_unix_connection(door)
    try:
        writer.write(b"GET /version HTTP/1.0\r\nHost: weir\r\n\r\n")
        answer = await reader.read(4096)
        head, _, body = answer.partition(b"\r\n\r\n")
        if not body and head:
            body = await reader.read(64)
        return body.decode("ascii", "replace").strip()
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def reason(text: str) -> Unavailable | None:
    """The error behind what nginx wrote, None while it has given no reason or is still trying."""
    failed = re.search(r"bind\(\) to \S+:(\d+) failed \((98|13)", text)
    if failed is not None:
        # It tries a taken port for 2.5 s and does not read signals meanwhile: the reason counts once it gave up.
        gave_up = failed[2] == "13" or "still could not bind()" in text
        return _port_taken(int(failed[1]), denied=failed[2] == "13") if gave_up else None
    return ConfigRefused(sentence(text), hint=_REFUSED_HINT) if "[emerg]" in text else None


def _port_taken(port: int, *, denied: bool) -> PortTaken:
    if denied:
        return PortTaken(
            port,
            f"port {port} may not be opened by this account",
            "Choose ports above 1023 in config.toml (listen.https, listen.http), or run Weir as root.",
        )
    return PortTaken(
        port,
        f"port {port} is in use by another program",
        f"See which: ss -ltnp 'sport = :{port}'. Stop it, or choose another port in config.toml (listen).",
    )


def sentence(output: str) -> str:
    """nginx's reason: its [emerg] line without time stamp and pid, else its last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    reasons = [line.partition("[emerg]")[2] for line in lines if "[emerg]" in line] or lines[-1:]
    return re.sub(r"^\s*(\d+#\d+:)?\s*", "", reasons[0]) if reasons else ""


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Leave nothing of a helper process behind, also when the caller was cancelled."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
