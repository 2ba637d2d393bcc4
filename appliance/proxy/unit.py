"""nginx as a unit of systemd, on an installed box: asked for by name, run by an account of its own.

It does what `process.Nginx` does for a box in development. The appliance may write nginx's configuration and ask for
`weir-nginx.service` to be started, reloaded and stopped (polkit); it can neither open the ports below 1024 nor signal
nginx itself. So the test of a new configuration is a unit too: it runs as nginx's account with nginx's one capability,
which is the only place where the answer is the true one.
"""

from __future__ import annotations

import asyncio
import contextlib
import grp
import os
import stat
import subprocess
from pathlib import Path

from appliance.config import Home
from appliance.errors import Unavailable
from appliance.proxy.family import stopped
from appliance.proxy.process import LOG_BYTES, ConfigRefused, ask_version, reason, sentence
from appliance.system import pidfd
from appliance.system.pidfd import Process
from appliance.system.units import Systemctl, UnitsUnavailable

UNIT = "weir-nginx.service"
TEST = "weir-nginx-test.service"
NGINX_GROUP = "_weir-nginx"
_ANSWER_S = 10.0
_START_S = 15.0
_TAIL_BYTES = 16384


class NginxUnit:
    """The nginx of an installed box. Not for use from two tasks at once."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._systemctl = Systemctl()
        self._process: Process | None = None
        self.config = home.nginx / "nginx.conf"
        self.log = home.nginx_log

    @property
    def pid(self) -> int | None:
        """Of the master, None when it does not run."""
        return self._process.identity.pid if self._process is not None and self._process.alive else None

    def prepare(self) -> None:
        """Make the directories that nginx reads. Raises OSError."""
        for directory in (self._home.nginx, self._home.run / "up"):
            directory.mkdir(parents=True, exist_ok=True)

    async def test(self, config: Path) -> None:
        """Have nginx's own account try `config`, which is `candidate.conf`; raises ConfigRefused with its sentence."""
        assert config.name == "candidate.conf", "the unit tests this one"
        await asyncio.to_thread(self._let_nginx_read)
        try:
            await self._ask("start", TEST)
        except Unavailable as error:
            text = await asyncio.to_thread(self._read, self._home.nginx_log.with_name("test.log"), 0)
            raise reason(text) or ConfigRefused(sentence(text) or error.message, hint=error.hint) from error

    def adopt(self) -> bool:
        """Take note of the nginx that runs; whether one does."""
        self.forget()
        pid = self._main_pid()
        identity = pidfd.identify(pid) if pid else None
        self._process = Process.open(identity) if identity is not None else None
        return self._process is not None

    async def start(self) -> None:
        """Start it with the configuration in place; returns when it answers. Raises PortTaken, ConfigRefused or
        NginxMissing; then it does not run."""
        mark = self._log_size()
        try:
            await self._ask("restart", UNIT)
            await self._until_answered(None, _START_S)
        except Unavailable as error:
            await self.stop()
            raise self._why(mark) or error from error

    async def reload(self, version: str) -> None:
        """Have it use the configuration in place; returns when new workers answer with `version`. Raises PortTaken or
        ConfigRefused; then the configuration before is still in use."""
        mark = self._log_size()
        try:
            await self._ask("reload", UNIT)
            await self._until_answered(version, _ANSWER_S)
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
        """Why it has to be ended although it lives; empty when it answers and nothing of it is stopped."""
        if self._process is None or not self._process.alive:
            return ""
        with contextlib.suppress(OSError):
            if found := await asyncio.to_thread(stopped, self._process.identity.pid):
                return f"process {found[0]} of nginx is stopped (SIGSTOP)"
        try:
            async with asyncio.timeout(2):
                return "" if await ask_version(self._home.nginx_socket) else "nginx lives and does not answer"
        except OSError as error:
            if pidfd.out_of_descriptors(error):
                return ""  # nobody was asked
        except TimeoutError:
            pass
        return "nginx lives and does not answer"

    async def end_stuck(self) -> None:
        """End all of it: systemd kills what does not end. The next round starts it again."""
        await self.stop()

    async def exited(self) -> None:
        """Returns when it has ended (at once when it does not run)."""
        if self._process is not None:
            await self._process.wait()

    async def stop(self, grace_s: float = 3.0) -> None:
        """Stop the unit. Returns when master and workers are gone, or systemd did not do it within its own time."""
        self.forget()
        with contextlib.suppress(Unavailable):
            await self._ask("stop", UNIT)

    def forget(self) -> None:
        """Let go of it without touching it."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def rotate_log(self) -> None:
        """Keep the log, which is in memory, within two files of 5 MB. Blocks. Raises OSError."""
        if self._log_size() <= LOG_BYTES:
            return
        self.log.replace(self.log.with_suffix(".log.1"))
        subprocess.run(["systemctl", "--no-ask-password", "--no-block", "reload", UNIT], check=False, timeout=10)

    # -- the parts ------------------------------------------------------------------------------------

    def _let_nginx_read(self) -> None:
        """The key of the certificate is for nginx's group, and for nobody else beside us."""
        group = grp.getgrnam(NGINX_GROUP).gr_gid
        key = self._home.tls / "box.key"
        fd = os.open(key, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            seen = os.fstat(fd)
            if seen.st_gid != group or stat.S_IMODE(seen.st_mode) != 0o640:
                os.fchown(fd, -1, group)
                os.fchmod(fd, 0o640)
        finally:
            os.close(fd)

    async def _until_answered(self, version: str | None, deadline_s: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + deadline_s
        await asyncio.to_thread(self.adopt)
        while True:
            answer = await self.version()
            if answer and version in (None, answer):
                return
            if self.pid is None:
                raise ConfigRefused("nginx ended", hint=f"Its log says more: {self.log}")
            if loop.time() > deadline:
                raise ConfigRefused("nginx did not take up the configuration in time", hint=f"See {self.log}")
            await asyncio.sleep(0.02)

    async def _ask(self, verb: str, unit: str) -> None:
        try:
            await self._systemctl.run(verb, "--", unit)
        except UnitsUnavailable as error:
            raise Unavailable(f"{unit}: {error}", hint=f"See why: systemctl status {unit}") from error

    def _main_pid(self) -> int:
        try:
            return self._systemctl.units(UNIT)[0].main_pid
        except (UnitsUnavailable, IndexError):
            return 0

    def _log_size(self) -> int:
        try:
            return self.log.stat().st_size
        except OSError:
            return 0

    def _why(self, mark: int) -> Unavailable | None:
        return reason(self._read(self.log, mark))

    @staticmethod
    def _read(path: Path, mark: int) -> str:
        """The end of a log that nginx's account wrote; never through a link that it may have put there."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return ""
        with os.fdopen(fd, "rb") as file:
            file.seek(max(mark, os.fstat(fd).st_size - _TAIL_BYTES))
            return file.read(_TAIL_BYTES).decode(errors="replace")
