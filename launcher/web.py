"""A small HTTP/1.1 server: h11 on asyncio streams, bounded in connections, header and body size and time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from _operator import _compare_digest  # what hmac.compare_digest is, without loading OpenSSL
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from urllib.parse import parse_qsl

import h11
import msgspec
from msgspec import Struct

log = logging.getLogger(__name__)

CONNECTIONS = 64
BODY_BYTES = 100 * 1024
HEAD_BYTES = 16 * 1024
IDLE_S = 60.0
SEND_S = 30.0
_SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: weir-shell\r\n\r\n"


class Request(Struct, frozen=True):
    """One decoded request. Header names are lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""


class Reply(Struct, frozen=True):
    """A whole answer, or a stream when `chunks` is given, or one text frame of a WebSocket for each of `frames`; or the
    whole connection for `takes`, which speaks what it likes."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    chunks: AsyncIterator[bytes] | None = None
    frames: AsyncIterator[bytes] | None = None
    takes: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]] | None = None


Handler = Callable[[Request], Awaitable[Reply]]


class Bad(Exception):
    """The request can't be served; becomes `status` with `{code, error}`."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    def reply(self) -> Reply:
        return json_reply({"code": self.code, "error": str(self)}, self.status)


def json_reply(value: object, status: int = 200) -> Reply:
    return Reply(status, msgspec.json.encode(value))


class Server:
    """Serves `routes` on loopback to whoever shows `secret`; while that is not known yet, answers 503."""

    def __init__(self, routes: Mapping[tuple[str, str], Handler]) -> None:
        self.secret = ""
        self._routes = routes
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], _Connection] = {}

    async def open(self, port: int) -> None:
        """Listen on 127.0.0.1. Raises OSError."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", port, limit=HEAD_BYTES)

    async def close(self) -> None:
        """Stop listening and end every connection, streams too."""
        if self._server is not None:
            self._server.close()
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=2)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connection = self._connections[task] = _Connection(reader, writer, self._answer)
        try:
            if self._has_room():
                await connection.serve()
        except (OSError, TimeoutError, h11.ProtocolError):
            pass  # the other side is gone or does not speak HTTP: nobody to tell
        except asyncio.CancelledError:
            # Only we cancel, to close or to make room: asyncio's server would log a cancelled handler as an error.
            log.debug("connection ended from here")
        finally:
            del self._connections[task]
            writer.close()

    def _has_room(self) -> bool:
        """Whether the newest connection may stay. The oldest that has not shown the secret gives way to it: any
        program on the box can hold connections open, and must not lock out who sends commands."""
        if len(self._connections) <= CONNECTIONS:
            return True
        *others, _ = self._connections.items()
        strangers = (task for task, connection in others if not connection.trusted and not task.cancelling())
        if (stranger := next(strangers, None)) is None:
            return False
        stranger.cancel()
        return True

    async def _answer(self, request: Request, connection: _Connection) -> Reply:
        try:
            self._check(request)
            connection.trusted = True
            handler = self._routes.get((request.method, request.path))
            if handler is None:
                raise Bad(404, "not_found", f"no route {request.method} {request.path}")
            return await handler(request)
        except Bad as error:
            return error.reply()
        except Exception:  # noqa: BLE001 - the request middleware is one of the four boundaries
            log.exception("%s %s failed", request.method, request.path)
            return Bad(500, "unexpected_error", "unexpected error; its trace is in launcher.out").reply()

    def _check(self, request: Request) -> None:
        if not self.secret:
            raise Bad(503, "unavailable", "the launcher is still waiting for its credentials; try again")
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not _compare_digest(given.strip().encode(), self.secret.encode()):
            raise Bad(401, "unauthorized", "unauthorized")


class _Connection:
    """One client: requests one after the other until it closes, is idle too long or breaks the protocol."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answer: Callable[[Request, _Connection], Awaitable[Reply]],
    ) -> None:
        self.trusted = False  # has shown the secret
        self._reader, self._writer, self._answer = reader, writer, answer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)

    async def serve(self) -> None:
        while True:
            request = None
            try:
                async with asyncio.timeout(IDLE_S):
                    request = await self._request()
                reply = await self._answer(request, self) if request is not None else None
            except Bad as error:
                reply = error.reply()
            except h11.RemoteProtocolError as error:
                reply = Bad(error.error_status_hint or 400, "bad_request", str(error)).reply()
            if reply is None:
                return
            if reply.frames is not None and request is not None:
                await self._switch(request, reply.frames)
                return
            if reply.takes is not None:
                self._writer.write(_SWITCHED)
                await reply.takes(self._reader, self._writer)
                return
            await self._send(reply)
            if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                return
            self._http.start_next_cycle()

    async def _request(self) -> Request | None:
        """The next request with its body, or None when the client is done. Raises Bad."""
        head: h11.Request | None = None
        body = bytearray()
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                if self._http.they_are_waiting_for_100_continue:
                    await self._write(h11.InformationalResponse(status_code=100, headers=[]))
                self._http.receive_data(await self._reader.read(65536))
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > BODY_BYTES:
                    raise Bad(413, "too_large", f"the body is larger than {BODY_BYTES} bytes")
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                return _decoded(head, bytes(body))
            else:
                return None

    async def _send(self, reply: Reply) -> None:
        headers = [("Content-Type", reply.content_type), ("Cache-Control", "no-store")]
        if reply.chunks is None:
            headers.append(("Content-Length", str(len(reply.body))))
        await self._write(h11.Response(status_code=reply.status, headers=headers))
        if reply.chunks is None:
            await self._write(h11.Data(data=reply.body))
        else:
            async with contextlib.aclosing(reply.chunks) as chunks:  # type: ignore[type-var]
                async for chunk in chunks:
                    await self._write(h11.Data(data=chunk))
        await self._write(h11.EndOfMessage())

    async def _switch(self, request: Request, frames: AsyncIterator[bytes]) -> None:
        """Speak WebSocket from now on."""
        from launcher.websocket import serve  # wsproto is loaded on first use: most launchers never need it

        await serve(request, self._http.trailing_data[0], self._reader, self._writer, frames)

    async def _write(self, event: h11.Event) -> None:
        """Hand one event to the client and wait until it has room again; TimeoutError when it reads nothing."""
        self._writer.write(self._http.send(event) or b"")
        async with asyncio.timeout(SEND_S):
            await self._writer.drain()


def _decoded(head: h11.Request, body: bytes) -> Request:
    path, _, query = head.target.decode("latin-1").partition("?")
    try:
        fields = dict(parse_qsl(query, max_num_fields=20))
    except ValueError as error:
        raise Bad(400, "bad_request", f"query: {error}") from error
    return Request(
        method=head.method.decode("latin-1"),
        path=path,
        query=fields,
        headers={name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers},
        body=body,
    )
