"""Whether nginx answers, with which configuration, and why not: asked at its own socket, read in its log."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

from appliance.config import Home
from appliance.errors import Unavailable
from appliance.proxy.family import stopped
from appliance.proxy.program import ConfigRefused, reason
from appliance.system import logfiles, pidfd

_ASK_S = 2.0


class Answering:
    """The nginx of one home as it can be asked, whoever runs it. `pid` gives its master, None while it does not run."""

    def __init__(self, home: Home, pid: Callable[[], int | None]) -> None:
        self._door = home.nginx_socket
        self._log = home.nginx_log
        self._pid = pid

    async def version(self) -> str:
        """The version of the configuration that nginx answers with; empty when it does not answer."""
        try:
            async with asyncio.timeout(_ASK_S):
                return await _ask(self._door)
        except OSError:  # a TimeoutError is one as well
            return ""

    async def stuck(self) -> str:
        """Why something of it has to be ended although it lives; empty when it answers and nothing of it is stopped."""
        if (pid := self._pid()) is None:
            return ""
        with contextlib.suppress(OSError):
            if found := await asyncio.to_thread(stopped, pid):
                return f"process {found[0]} of nginx is stopped (SIGSTOP)"
        try:
            async with asyncio.timeout(_ASK_S):
                if await _ask(self._door):
                    return ""
        except OSError as error:
            if pidfd.out_of_descriptors(error):
                return ""  # nobody was asked, and one that is ended now could not be started again
        return "nginx lives and does not answer"

    async def until(self, version: str | None, deadline_s: float, mark: int) -> None:
        """Returns when it answers with `version` (any when None). Raises ConfigRefused when it has ended, when its log
        gives a reason behind `mark`, or at the deadline."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + deadline_s
        while True:
            answer = await self.version()
            if answer and version in (None, answer):
                return
            if self._pid() is None:
                raise ConfigRefused("nginx ended", hint=f"Its log says more: {self._log}")
            if loop.time() > deadline or self.why(mark) is not None:
                raise ConfigRefused(
                    "nginx did not take up the new configuration in time", hint=f"Its log says more: {self._log}"
                )
            await asyncio.sleep(0.02)

    def mark(self) -> int:
        """Where its log ends now: what it writes from here on belongs to what is done next."""
        return logfiles.size(self._log)

    def why(self, mark: int) -> Unavailable | None:
        """What nginx wrote as its reason since `mark`: PortTaken or ConfigRefused; None when it gave none."""
        return reason(logfiles.tail(self._log, mark))


async def _ask(door: Path) -> str:
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
