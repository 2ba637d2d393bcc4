"""The appliance's three doors, opened and closed together; on an installed box systemd holds them for us."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from aiohttp import web

from appliance.config import Config, Home
from appliance.errors import Unavailable
from appliance.services.ssh_logins import SshLogins
from appliance.system.inherited import inherited
from appliance.web.key_door import KeyDoor

LINGER_S = 2  # how long the rest of a refused body is read and thrown away, so that its sender hears the answer
SHUTDOWN_S = 5
UNIX_PATH_BYTES = 107  # unix(7): sun_path with its closing zero


class Listeners:
    """`api.sock` for root and the appliance's own account, `web.sock` for nginx, and loopback TCP; `keys.sock` for sshd
    where logins over SSH are served."""

    def __init__(self, app: web.Application, config: Config, home: Home, *, logins: SshLogins | None = None) -> None:
        self._config = config
        self._home = home
        self._logins = logins
        self._keys: KeyDoor | None = None
        self._own: list[Path] = []  # sockets that we made, and take away
        # No cancellation when a client leaves: a command that has begun is finished. Streams notice by themselves.
        self._runner = web.AppRunner(
            app,
            handle_signals=False,
            access_log=None,
            handler_cancellation=False,
            auto_decompress=False,
            lingering_time=LINGER_S,
            shutdown_timeout=SHUTDOWN_S,
            keepalive_timeout=75,
        )

    async def open(self) -> None:
        """Listen on all three. Raises Unavailable naming the port or path that can't be had; then none is open."""
        await self._runner.setup()
        try:
            for opened in self._sockets():
                await web.SockSite(self._runner, opened, backlog=1024).start()
            if self._keys is not None:
                await self._keys.open()
        except BaseException:
            await self._runner.cleanup()
            raise

    async def close(self) -> None:
        """Stop listening, end the streams, let running requests finish for 5 s, and remove the sockets."""
        if self._keys is not None:
            await self._keys.close()
        await self._runner.cleanup()
        for path in self._own:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()

    def _sockets(self) -> Iterator[socket.socket]:
        """Those that systemd holds for us, whose owner and mode its units say; else our own."""
        given, listen = inherited(os.environ), self._config.listen
        for path, mode in ((self._home.api_socket, 0o600), (self._home.web_socket, 0o660)):
            if (held := given.take(str(path))) is None:
                self._own.append(path)
            yield held or _unix(path, mode)
        yield given.take(f"{listen.host}:{listen.port}") or _tcp(listen.host, listen.port)
        if self._logins is not None:
            path = self._home.run / "keys.sock"
            self._keys = KeyDoor(self._logins, path, given.take(str(path)))
        given.close_rest()


def _unix(path: Path, mode: int) -> socket.socket:
    if len(os.fsencode(path)) > UNIX_PATH_BYTES:
        raise Unavailable(
            f"{path} is too long for a socket: {UNIX_PATH_BYTES} bytes at most",
            code="path_too_long",
            hint="Use a home directory with a shorter path.",
        )
    opened = socket.socket(socket.AF_UNIX)
    try:
        # What lies there is of an appliance that is gone: main.py holds the lock of this home.
        path.unlink(missing_ok=True)
        opened.bind(str(path))
        path.chmod(mode)
        opened.setblocking(False)
    except OSError as error:
        opened.close()
        raise Unavailable(f"can't listen on {path}: {error.strerror}", code="socket_unavailable") from error
    return opened


def _tcp(host: str, port: int) -> socket.socket:
    opened = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((host, port))
        opened.setblocking(False)
    except OSError as error:
        opened.close()
        taken = error.errno == errno.EADDRINUSE
        raise Unavailable(
            f"can't listen on {host}:{port}: {error.strerror}",
            code="port_in_use" if taken else "socket_unavailable",
            hint=f"See who has it: ss -ltnp 'sport = :{port}'. Or set listen.port in config.toml.",
        ) from error
    return opened
