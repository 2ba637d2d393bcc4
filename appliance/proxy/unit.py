"""nginx as a unit of systemd, on an installed box: asked for by name, run by an account of its own.

It does what `process.Nginx` does for a box in development. The appliance may write nginx's configuration and ask for
`weir-nginx.service` to be started, reloaded and stopped (polkit); it can neither open the ports below 1024 nor signal
nginx itself. So the test of a new configuration is a unit too: it runs as nginx's account with nginx's one capability,
which is the only place where the answer is the true one.
"""

from __future__ import annotations

import asyncio
import grp
import os
import stat
import subprocess
from pathlib import Path

from appliance.config import Home
from appliance.errors import Unavailable
from appliance.proxy.answering import Answering
from appliance.proxy.program import ConfigRefused, reason, sentence
from appliance.system import logfiles
from appliance.system.daemon import UnitDaemon

UNIT = "weir-nginx.service"
TEST = "weir-nginx-test.service"
NGINX_GROUP = "_weir-nginx"
_ANSWER_S = 10.0
_START_S = 15.0


class NginxUnit(UnitDaemon):
    """The nginx of an installed box. Not for use from two tasks at once."""

    def __init__(self, home: Home) -> None:
        super().__init__(UNIT)
        self._home = home
        self.config = home.nginx / "nginx.conf"
        self.log = home.nginx_log
        self.answering = Answering(home, lambda: self.pid)

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
            text = await asyncio.to_thread(logfiles.tail, self.log.with_name("test.log"))
            raise reason(text) or ConfigRefused(sentence(text) or error.message, hint=error.hint) from error

    async def start(self) -> None:
        """Start it with the configuration in place; returns when it answers. Raises PortTaken, ConfigRefused or
        NginxMissing; then it does not run."""
        try:
            await self._take_up("restart", None, _START_S)
        except Unavailable:
            await self.stop()
            raise

    async def reload(self, version: str) -> None:
        """Have it use the configuration in place; returns when new workers answer with `version`. Raises PortTaken or
        ConfigRefused; then the configuration before is still in use."""
        await self._take_up("reload", version, _ANSWER_S)

    def rotate_log(self) -> None:
        """Keep the log, which is in memory, within two files of 5 MB. Blocks. Raises OSError."""
        if logfiles.set_aside(self.log):
            subprocess.run(["systemctl", "--no-ask-password", "--no-block", "reload", UNIT], check=False, timeout=10)

    # -- the parts ------------------------------------------------------------------------------------

    async def _take_up(self, verb: str, version: str | None, deadline_s: float) -> None:
        mark = self.answering.mark()
        try:
            await self._ask(verb, UNIT)
            await asyncio.to_thread(self.adopt)
            await self.answering.until(version, deadline_s, mark)
        except Unavailable as error:
            raise self.answering.why(mark) or error from error

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
