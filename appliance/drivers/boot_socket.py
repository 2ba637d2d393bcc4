"""Where launchers in units ask for what they may know alone: the kernel says which process asks (SO_PEERCRED).

A credential of systemd (`LoadCredential=`) would be read by root from a path, and whoever has Weir's account could put
a link there; here root reads nothing, and no secret ever lies in a file.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
from msgspec import Struct

log = logging.getLogger(__name__)

AT_ONCE = 16  # launchers wait their turn; programs that flows start are refused at once
DEADLINE_S = 40.0
_PEER = struct.Struct("3i")  # struct ucred: pid, uid, gid


class Given(Struct, frozen=True):
    """What a launcher is given: one line for it, and more of its environment. Never logged."""

    boot: str
    env: dict[str, str] = {}


Give = Callable[[int, int], Awaitable[Given | None]]
"""What the process `pid` of user `uid` may have; None: nothing."""


class BootSocket:
    """Open to every user of the box; what is answered is for `give` to say."""

    def __init__(self, path: Path, give: Give) -> None:
        self.path = path
        self._give = give
        self._server: asyncio.Server | None = None
        self._room = asyncio.Semaphore(AT_ONCE)
        self._asking: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Raises OSError."""
        self.path.unlink(missing_ok=True)  # of an appliance that is gone: the box has one at a time
        self._server = await asyncio.start_unix_server(self._connected, self.path)
        self.path.chmod(0o666)

    async def close(self) -> None:
        """Launchers that ask now ask again later."""
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)
        for task in self._asking:
            task.cancel()
        if self._asking:
            await asyncio.wait(self._asking)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._asking.add(task)
        try:
            if len(self._asking) > 4 * AT_ONCE:
                return  # somebody plays: a launcher asks again
            async with asyncio.timeout(DEADLINE_S), self._room:
                await self._answer(writer)
        except (OSError, TimeoutError) as error:
            log.warning("a launcher could not be given its ticket: %s", error or "too slow")
        finally:
            self._asking.discard(task)
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter) -> None:
        peer: socket.socket = writer.get_extra_info("socket")
        pid, uid, _ = _PEER.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
        given = await self._give(pid, uid)
        if given is None:
            log.warning("process %d of user %d asked for a boot ticket and is no launcher of this box", pid, uid)
            return
        writer.write(msgspec.json.encode(given))
        await writer.drain()


def unit_of_process(pid: int, prefix: str) -> str | None:
    """The instance part of the unit `PREFIX@….service` that the process is in; None when it is in no such unit."""
    try:
        text = Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return None
    for part in (part for line in text.splitlines() for part in line.split("/")):
        if part.startswith(f"{prefix}@") and part.endswith(".service"):
            return part.removeprefix(f"{prefix}@").removesuffix(".service")
    return None
