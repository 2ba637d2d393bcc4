"""The web server: does it answer?"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

from appliance.config import Home
from appliance.services.health.trouble import Seconds, Steady, Trouble

ANSWER_S = 3.0
SILENT_S = 25.0  # the proxy starts a dead one within a second or two; only one that stays silent is a trouble


class FrontDoorCheck:
    """Asks nginx on its own socket. `told`: whether a problem says already why it can't run."""

    name = "nginx"
    every_s = 10.0
    quick = False

    def __init__(self, home: Home, uptime_s: Seconds) -> None:
        self._home = home
        self._silent = Steady(SILENT_S, uptime_s)

    async def look(self) -> Sequence[Trouble]:
        silent = not await answers(self._home.nginx_socket)
        return [_down(self._home)] if self._silent.take(bad=silent, well=not silent) else []


async def answers(path: Path) -> bool:
    """Whether the web server behind this socket answers a request."""
    try:
        async with asyncio.timeout(ANSWER_S):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                writer.write(b"GET /version HTTP/1.0\r\nHost: weir\r\n\r\n")
                return bool(await reader.read(1))
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError):
        return False


def _down(home: Home) -> Trouble:
    return Trouble(
        "nginx_silent",
        "The web server of this box does not answer",
        "nginx is down, hangs or is stopped, so no browser reaches the box. Flows run on.",
        f"no answer at {home.nginx_socket} for {SILENT_S:.0f} s",
        f"See the end of {home.nginx_log}. If it hangs, end it (its pid is in {home.run / 'nginx.json'}): "
        "Weir starts it again by itself.",
    )
