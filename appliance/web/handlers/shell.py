"""A shell of an instance: a WebSocket to its launcher's terminal, in the instance's sandbox where it has one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import struct

from aiohttp import WSMsgType, web

from appliance.errors import Forbidden, Invalid
from appliance.model import Subject
from appliance.web.handlers.logs import placed
from appliance.web.lasting import while_allowed
from appliance.web.route import STREAM, Ask
from appliance.web.services import Services

CHUNK = 16 * 1024
MOST_BYTES = 64 * 1024
HEARTBEAT_S = 20.0
SEND_S = 30.0
IN_SANDBOX = "project:shell"
OF_THE_BOX = "settings:edit"  # without sandboxes a shell of one instance reaches everything
_HEAD = struct.Struct("!cI")
_KINDS = (b"d", b"r")  # keys; rows and columns


async def open_(services: Services, ask: Ask[None, None]) -> web.StreamResponse:
    """Frames from the client: one byte that says what it is, then keys or size; to the client: what is printed.

    Ends as well when whoever opened it may not have it any more: suspended, logged out, no longer an owner."""
    socket = web.WebSocketResponse(max_msg_size=MOST_BYTES, heartbeat=HEARTBEAT_S)
    if not socket.can_prepare(ask.request):
        raise Invalid("A shell is opened as a WebSocket.", hint="Type: weir instance shell NAME")
    spec = await placed(services, ask.id)
    permission, account = _terms(services, ask.subject)
    await services.instances.shell_opened(ask.subject, ask.id, account)
    reader, writer = await services.launchers.shell(spec)
    try:
        await socket.prepare(ask.request)
        ask.request[STREAM] = socket
        await while_allowed(services, ask, permission, _print(reader, socket), _type(socket, writer))
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(SEND_S):
                await socket.close()
    finally:
        writer.close()
    return socket


def _terms(services: Services, subject: Subject) -> tuple[str, str]:
    """The permission that the shell lives by, and as whom it runs, in words. Raises Forbidden."""
    if services.sandboxed:
        return IN_SANDBOX, "its own user, in its sandbox"
    if not subject.admin or subject.team_ids is not None:
        raise Forbidden(
            "Instances have no sandbox on this box: a shell of one would own the whole box.",
            hint="Ask an administrator of the box for one, or for an installed box, where instances have sandboxes.",
        )
    return OF_THE_BOX, f"{_own_name()}, who owns the whole box"


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


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
