"""Server-sent events on aiohttp (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from aiohttp import web

from appliance.web.route import STREAM

KEEPALIVE_S = 10.0
WRITE_DEADLINE_S = 20.0  # a client that takes nothing for so long is gone, or as good as

_encode = msgspec.json.Encoder().encode


class EventStream:
    """One open stream. Every write has a deadline; ConnectionResetError means that the client is gone."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
        )

    async def open(self) -> None:
        """Send the headers at once, so that the client knows that it is connected."""
        # The error boundary finds it here: once headers are out, no other answer can be given.
        self._request[STREAM] = self.response
        await self.response.prepare(self._request)
        await self._write(b"retry: 1000\n\n")

    async def send(self, event: str, data: Any, *, id: str | None = None) -> None:
        """One event; `data` is a struct, or JSON that is already encoded. JSON has no line breaks, so one line does."""
        encoded = data if isinstance(data, bytes) else _encode(data)
        head = f"id: {id}\n" if id is not None else ""
        await self._write(f"{head}event: {event}\ndata: ".encode() + encoded + b"\n\n")

    async def keepalive(self) -> None:
        await self._write(b": keepalive\n\n")

    @property
    def gone(self) -> bool:
        """Whether the client is known to have left."""
        return self._request.transport is None or self._request.transport.is_closing()

    async def _write(self, data: bytes) -> None:
        try:
            async with asyncio.timeout(WRITE_DEADLINE_S):
                await self.response.write(data)
        except TimeoutError as error:
            if self._request.transport is not None:
                self._request.transport.abort()
            raise ConnectionResetError("the client takes nothing") from error
