"""A shell of an instance over the box's API: keys and output pass through a WebSocket to the instance's sandbox.

Our terminal is only lent: it is put back as it was, whatever the shell has done to it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
import ssl
import struct
import sys
import termios
import tty
from collections.abc import Iterator
from urllib.parse import urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    RejectConnection,
    RejectData,
    Request,
)

from tui.address import Address
from tui.errors import BoxError
from tui.shell import terminal_kept
from tui.wire import API, CONNECT_S, refusal

CHUNK = 16 * 1024
_SIZE = struct.Struct("!HH")


def run(address: Address, instance_id: str) -> None:
    """Pass keys and output to and fro until the shell has ended. Raises BoxError when it is refused or cut off."""
    with _connected(address) as connection:
        talk = _Talk(connection, address, f"{API}/projects/{instance_id}/shell")
        talk.begin()
        with terminal_kept(), talk.following_size():
            tty.setraw(sys.stdin.fileno(), termios.TCSADRAIN)
            talk.pass_to_and_fro()


def _connected(address: Address) -> socket.socket:
    try:
        if address.socket is not None:
            made = socket.socket(socket.AF_UNIX)
            made.settimeout(CONNECT_S)
            made.connect(str(address.socket))
            return made
        parts = urlsplit(address.base_url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        plain = socket.create_connection((parts.hostname or "", port), CONNECT_S)
        if parts.scheme != "https":
            return plain
        trusted = ssl.create_default_context(cafile=address.ca or None)
        return trusted.wrap_socket(plain, server_hostname=parts.hostname)
    except OSError as error:
        raise address.not_running(error.strerror or str(error)) from error


class _Talk:
    """One WebSocket, from the handshake to its end."""

    def __init__(self, connection: socket.socket, address: Address, path: str) -> None:
        self._connection, self._address, self._path = connection, address, path
        self._protocol = WSConnection(ConnectionType.CLIENT)
        self._resized = False
        self._ended = False

    def begin(self) -> None:
        """Open it, and tell the size of our terminal. Raises BoxError with the box's reason."""
        token = self._address.token
        headers = [(b"Authorization", f"Bearer {token}".encode())] if token else []
        host = urlsplit(self._address.base_url).netloc
        self._send(self._protocol.send(Request(host=host, target=self._path, extra_headers=headers)))
        status, body, answered = 0, bytearray(), False
        while not answered and (data := self._received()):
            self._protocol.receive_data(data)
            for event in self._protocol.events():
                if isinstance(event, AcceptConnection):
                    answered = True
                elif isinstance(event, RejectConnection):
                    status, answered = event.status_code, not event.has_body
                elif isinstance(event, RejectData):
                    body += event.data
                    answered = event.body_finished
        if status or not answered:
            raise refusal(status or 502, bytes(body))
        self._connection.settimeout(None)
        self.resize()

    def resize(self) -> None:
        """Tell the shell how large our terminal is."""
        rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(sys.stdin.fileno(), termios.TIOCGWINSZ, b"\0" * 8))
        self._say(b"r" + _SIZE.pack(rows, columns))

    @contextlib.contextmanager
    def following_size(self) -> Iterator[None]:
        """While it is entered, the shell is told when our terminal changes its size."""

        def changed(*_: object) -> None:
            self._resized = True

        before = signal.signal(signal.SIGWINCH, changed)
        try:
            yield
        finally:
            signal.signal(signal.SIGWINCH, before)

    def pass_to_and_fro(self) -> None:
        """Until the shell has ended, or our terminal has."""
        keys = sys.stdin.fileno()
        while not self._ended:
            if self._resized:
                self._resized = False
                self.resize()
            ready, _, _ = select.select([keys, self._connection], [], [], 1.0)
            if keys in ready:
                if not (typed := os.read(keys, CHUNK)):
                    return
                self._say(b"d" + typed)
            if self._connection in ready or _pending(self._connection):
                self._hear()

    def _hear(self) -> None:
        data = self._received()
        if not data:
            self._ended = True
            return
        self._protocol.receive_data(data)
        for event in self._protocol.events():
            if isinstance(event, BytesMessage):
                _print(bytes(event.data))
            elif isinstance(event, Ping):
                self._send(self._protocol.send(event.response()))
            elif isinstance(event, CloseConnection):
                with contextlib.suppress(BoxError):
                    self._send(self._protocol.send(event.response()))
                self._ended = True

    def _received(self) -> bytes:
        try:
            return self._connection.recv(CHUNK)
        except OSError as error:
            raise BoxError(f"the box went away: {error}", hint="Open the shell again.") from error

    def _say(self, body: bytes) -> None:
        self._send(self._protocol.send(BytesMessage(data=body)))

    def _send(self, data: bytes) -> None:
        try:
            self._connection.sendall(data)
        except OSError as error:
            raise BoxError(f"the box went away: {error}", hint="Open the shell again.") from error


def _pending(connection: socket.socket) -> bool:
    return isinstance(connection, ssl.SSLSocket) and connection.pending() > 0


def _print(said: bytes) -> None:
    screen = sys.__stdout__.fileno() if sys.__stdout__ else 1
    while said:
        said = said[os.write(screen, said) :]
