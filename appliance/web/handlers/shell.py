"""A shell of an instance, in its sandbox: a WebSocket to its launcher's terminal."""

from __future__ import annotations

import asyncio
import contextlib
import struct

from aiohttp import WSMsgType, web

from appliance.errors import Forbidden, Invalid, NotFound, Unauthorized
from appliance.web.access import Access
from appliance.web.handlers.logs import placed
from appliance.web.route import STREAM, Ask
from appliance.web.services import Services

CHUNK = 16 * 1024
MOST_BYTES = 64 * 1024
HEARTBEAT_S = 20.0
SEND_S = 30.0
LOOK_S = 10.0
PERMISSION = "project:shell"
_HEAD = struct.Struct("!cI")
_KINDS = (b"d", b"r")  # keys; rows and columns


async def open_(services: Services, ask: Ask[None, None]) -> web.StreamResponse:
    """Frames from the client: one byte that says what it is, then keys or size; to the client: what is printed.

    Ends as well when whoever opened it may not have it any more: suspended, logged out, no longer an owner."""
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
        refused = asyncio.create_task(_until_refused(services, ask))
        tasks = (printing, typing, refused)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(SEND_S):
                await socket.close()
    finally:
        writer.close()
    return socket


async def _until_refused(services: Services, ask: Ask[None, None]) -> None:
    """Returns when the rights that opened the shell are gone, at once where that is told, and when the box ends."""
    access = Access(services)
    while not services.feed.closed:
        try:
            subject = await services.tokens.verify(ask.bearer) if ask.bearer else ask.subject
            await access.check_again(PERMISSION, ask.id, subject)
        except (Unauthorized, Forbidden, NotFound):
            return
        await services.feed.wait(services.feed.position, LOOK_S)


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
