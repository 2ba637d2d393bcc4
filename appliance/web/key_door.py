"""`keys.sock`: where sshd's `AuthorizedKeysCommand` asks whether a key may come, and gets a ticket for its login.

One line each way: `KEY SHA256:… ssh-ed25519` is answered by `TICKET …` or `NO`. Only the account that sshd runs the
command as may ask, told by the kernel; what it may ask for is worth nothing outside the login it asks for.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pwd
import re
import socket
import struct
from pathlib import Path

from appliance.errors import Unavailable, WeirError
from appliance.services.ssh_logins import SshLogins
from appliance.system.ancestry import parent

log = logging.getLogger(__name__)

ASKING_ACCOUNT = "_weir-keys"
LINE_BYTES = 512
ANSWER_S = 2.0  # sshd's command gives up then
ASKING_AT_ONCE = 128  # sshd's own limit of logins that have not succeeded yet is lower (MaxStartups)
QUESTION = re.compile(rb"KEY (SHA256:[A-Za-z0-9+/]{43}) ([a-z0-9@.-]{1,64})\n")


class KeyDoor:
    """Answers on a socket that is listened on already, or on one of its own at `path`."""

    def __init__(self, logins: SshLogins, path: Path, given: socket.socket | None = None) -> None:
        self._logins = logins
        self._path = path
        self._given = given
        self._server: asyncio.Server | None = None
        self._asking = 0
        self._accounts = frozenset({0, os.geteuid()})

    async def open(self) -> None:
        """Begin to answer. Raises Unavailable when the socket can't be had."""
        self._accounts |= _uid(ASKING_ACCOUNT)
        try:
            opened = self._given or _opened(self._path)
        except OSError as error:
            raise Unavailable(f"can't listen on {self._path}: {error.strerror}", code="socket_unavailable") from error
        # Not start_unix_server: from Python 3.13 on it removes the socket's file at the end, also that of systemd.
        self._server = await asyncio.start_server(self._serve, sock=opened, limit=LINE_BYTES)

    async def close(self) -> None:
        """Answer nobody any more."""
        if self._server is None:
            return
        self._server.close()
        if self._given is None:
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._asking += 1
        try:
            if self._asking <= ASKING_AT_ONCE:
                async with asyncio.timeout(ANSWER_S):
                    await self._answer(reader, writer)
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass  # whoever asks so is no sshd, and gets no answer
        except WeirError as error:
            log.warning("sshd gets no answer about a key: %s", error)
        finally:
            self._asking -= 1
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pid, uid, _ = _peer(writer)
        if uid not in self._accounts:
            log.warning("account %d asked for the keys of SSH logins, and was refused", uid)
            return
        question = QUESTION.fullmatch(await reader.readuntil(b"\n"))
        if question is None:
            return
        fingerprint, type_ = (each.decode() for each in question.groups())
        # The command is a child of the sshd process that serves this one connection, and waits for us.
        under = parent(pid)
        if under is None:
            log.warning("the sshd of a login can't be seen in /proc, so nobody is let in over SSH")
        ticket = None if under is None else await self._logins.ticket(fingerprint, type_, under)
        writer.write(f"TICKET {ticket}\n".encode() if ticket else b"NO\n")
        await writer.drain()


def _peer(writer: asyncio.StreamWriter) -> tuple[int, int, int]:
    opened = writer.get_extra_info("socket")
    size = struct.calcsize("3i")
    pid, uid, gid = struct.unpack("3i", opened.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return pid, uid, gid


def _uid(account: str) -> frozenset[int]:
    try:
        return frozenset({pwd.getpwnam(account).pw_uid})
    except KeyError:
        return frozenset()


def _opened(path: Path) -> socket.socket:
    """Our own socket, where systemd gives none: for this account and root only."""
    opened = socket.socket(socket.AF_UNIX)
    try:
        path.unlink(missing_ok=True)
        opened.bind(str(path))
        path.chmod(0o600)
        opened.listen(ASKING_AT_ONCE)
        opened.setblocking(False)
    except OSError:
        opened.close()
        raise
    return opened
