"""One HTTP request with h11 over an asyncio stream: a new connection each, everything bounded."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from urllib.parse import urlsplit

import h11
from msgspec import Struct

from launcher.process import reason

ANSWER_BYTES = 16 * 1024 * 1024


class Unreachable(Exception):
    """No answer: refused, cut, timed out or not HTTP. The same request may succeed later."""


class Answer(Struct, frozen=True):
    status: int
    body: bytes

    @property
    def retriable(self) -> bool:
        return self.status >= 500 or self.status in (408, 425, 429)


async def request(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    timeout_s: float = 10,
    body_limit: int = ANSWER_BYTES,
) -> Answer:
    """Send one request and read the whole answer within `timeout_s`. Raises Unreachable."""
    try:
        async with asyncio.timeout(timeout_s):
            return await _exchange(method, url, dict(headers or {}), body, body_limit)
    except TimeoutError as error:
        raise Unreachable(f"no answer within {timeout_s:g} s") from error
    except OSError as error:
        raise Unreachable(reason(error)) from error
    except h11.RemoteProtocolError as error:
        raise Unreachable(f"not an HTTP answer: {error}") from error
    except (h11.LocalProtocolError, UnicodeError) as error:
        raise Unreachable(f"not a request that can be sent: {error}") from error


async def _exchange(method: str, url: str, headers: dict[str, str], body: bytes, limit: int) -> Answer:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    reader, writer = await asyncio.open_connection(
        parts.hostname, parts.port or (443 if secure else 80), ssl=secure or None
    )
    try:
        connection = h11.Connection(h11.CLIENT)
        headers |= {"Host": parts.netloc, "Connection": "close", "Content-Length": str(len(body))}
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        for event in (
            h11.Request(method=method, target=target or "/", headers=list(headers.items())),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            writer.write(connection.send(event) or b"")
        await writer.drain()
        return await _answer(connection, reader, limit)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _answer(connection: h11.Connection, reader: asyncio.StreamReader, limit: int) -> Answer:
    status = 0
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > limit:
                raise Unreachable(f"the answer is larger than {limit} bytes")
        elif isinstance(event, h11.EndOfMessage):
            return Answer(status, bytes(body))
        elif isinstance(event, h11.ConnectionClosed):
            raise Unreachable("the connection was closed without an answer")
