"""A shell of an instance, in its sandbox: a WebSocket to its launcher's terminal."""

from __future__ import annotations

import asyncio
import contextlib
import struct

from aiohttp import WSMsgType, web

from appliance.errors import Invalid
from appliance.web.handlers.logs import placed
from appliance.web.route import STREAM, Ask
from appliance.web.services import Services

CHUNK = 16 * 1024
MOST_BYTES = 64 * 1024
HEARTBEAT_S = 20.0
SEND_S = 30.0
_HEAD = struct.Struct("!cI")
_KINDS = (b"d", b"r")  # keys; rows and columns


async def open_(services: Services, ask: Ask[None, None]) -> web.StreamResponse:
    """Frames from the client: one byte that says what it is, then keys or size; to the client: what is printed."""
    socket = web.WebSocketResponse(max_msg_size=MOST_BYTES, heartbeat=HEARTBEAT_S)
    if not socket.can_prepare(ask.request):
        raise Invalid("A shell is opened as a WebSocket.", hint="Type: weir shell NAME")
    spec = await placed(services, ask.id)
    await services.instances.shell_opened(ask.subject, ask.id, "its own user, in its sandbox")
    reader, writer = await services.launchers.shell(spec)
    try:
        await socket.prepare(ask.request)
        ask.request[STREAM] = socket
        printing = asyncio.create_task(_print(reader, socket))
        typing = asyncio.create_task(_type(socket, writer))
        try:
            await asyncio.wait([printing, typing], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (printing, typing):
                task.cancel()
            await asyncio.gather(printing, typing, return_exceptions=True)
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(SEND_S):
                await socket.close()
    finally:
        writer.close()
    return socket


async def _print(reader: asyncio.StreamReader, socket: web.WebSocketResponse) -> None:
    with contextlib.suppress(ConnectionError, TimeoutError):
        while said := await reader.read(CHUNK):
            async with asyncio.timeout(SEND_S):
                await socket.send_bytes(said)


async def _type(socket: web.WebSocketResponse, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        async for message in socket:
            if message.type is not WSMsgType.BINARY or message.data[:1] not in _KINDS:
                return
            writer.write(_HEAD.pack(message.data[:1], len(message.data) - 1) + message.data[1:])
            await writer.drain()
