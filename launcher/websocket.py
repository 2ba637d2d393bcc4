"""The server's end of a WebSocket that only sends: one text frame for each thing there is to tell."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Ping, Request, TextMessage
from wsproto.utilities import ProtocolError

from launcher import web


async def serve(
    request: web.Request,
    early: bytes,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    frames: AsyncIterator[bytes],
) -> None:
    """Accept the handshake in `request` and send `frames` until the client goes; an empty frame is a ping.

    What the client says is read and passed over. `early` came right behind the request. Raises OSError or
    TimeoutError when the client is gone or reads nothing; what breaks the protocol, or comes after its end, ends the
    connection and is no error.
    """
    socket = _Socket(reader, writer)
    if not await socket.accept(request, early):
        return
    listening = asyncio.create_task(socket.listen(), name="websocket")
    sending = asyncio.create_task(socket.send_all(frames), name="websocket frames")
    try:
        await asyncio.wait([listening, sending], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (listening, sending):
            task.cancel()
        ended = await asyncio.gather(listening, sending, return_exceptions=True)
    for outcome in ended:
        if isinstance(outcome, Exception) and not isinstance(outcome, ProtocolError):
            raise outcome


class _Socket:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._protocol = WSConnection(ConnectionType.SERVER)
        self._early = b""

    async def accept(self, request: web.Request, early: bytes) -> bool:
        """Complete the handshake; False when it was none, after saying so."""
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in request.headers.items()]
        try:
            self._protocol.initiate_upgrade_connection(headers, request.path)
        except ProtocolError:
            refusal = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            await self._write(refusal)
            return False
        for event in self._protocol.events():
            if isinstance(event, Request):
                await self._write(self._protocol.send(AcceptConnection()))
        self._early = early
        return True

    async def listen(self) -> None:
        """Answer pings and closing; returns when the client has gone."""
        data = self._early
        while True:
            if data:
                self._protocol.receive_data(data)
            for event in self._protocol.events():
                if isinstance(event, CloseConnection):
                    await self._write(self._protocol.send(event.response()))
                    return
                if isinstance(event, Ping):
                    await self._write(self._protocol.send(event.response()))
            if not (data := await self._reader.read(4096)):
                return

    async def send_all(self, frames: AsyncIterator[bytes]) -> None:
        async with contextlib.aclosing(frames) as each:  # type: ignore[type-var]
            async for frame in each:
                message = TextMessage(data=frame.decode()) if frame else Ping()
                await self._write(self._protocol.send(message))

    async def _write(self, data: bytes) -> None:
        self._writer.write(data)
        async with asyncio.timeout(web.SEND_S):
            await self._writer.drain()
