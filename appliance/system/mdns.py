"""The name under which this machine is announced to the local network (mDNS), by whoever does that: Avahi.

Weir announces nothing itself: a second responder on one machine makes both answer wrongly, Avahi is what Debian and
Raspberry Pi OS have, and it takes 1 MB where a library in the appliance would take five. Where two machines have one
name Avahi gives the later one another (`box-2.local`), and that is the name that has to be accepted.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

ASKED_S = 3.0
EVERY_S = 60.0
SOCKET = Path("/run/avahi-daemon/socket")
_CALL = ("call", "org.freedesktop.Avahi", "/", "org.freedesktop.Avahi.Server", "GetHostNameFqdn")
_ANSWER = re.compile(r's "([A-Za-z0-9-]{1,63}\.local)"')


class Announced:
    """The name as it was at the last look; looks once a minute, in a thread. May be asked from any thread."""

    def __init__(self, ask: Callable[[], str | None] | None = None) -> None:
        self._ask = ask or announced
        self._name: str | None = None

    def __call__(self) -> str | None:
        return self._name

    async def run(self) -> None:
        """For ever."""
        while True:
            self._name = await asyncio.to_thread(self._ask)
            await asyncio.sleep(EVERY_S)


def announced(socket: Path = SOCKET, program: str = "busctl") -> str | None:
    """The whole name, lower case; None where nobody announces one. Blocks for a moment, 3 s at most."""
    found = shutil.which(program, path="/usr/bin:/bin")
    if not socket.exists() or found is None:
        return None
    try:
        done = subprocess.run(
            [found, "--system", "--auto-start=no", f"--timeout={ASKED_S:.0f}", *_CALL],
            capture_output=True,
            text=True,
            timeout=ASKED_S + 1,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    answer = _ANSWER.fullmatch(done.stdout.strip())
    return answer[1].lower() if answer else None
