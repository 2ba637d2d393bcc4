"""The box over asyncio: requests as structs, and streams that say when the line falls silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any, TypeVar

import msgspec

from tui.address import Address
from tui.http import LIMITS, failure, tls
from tui.lean import httpx
from tui.patience import PATIENCE_S, down
from tui.wire import ANSWER_S, API, CONNECT_S, OPEN, SILENCE_S, SseEvent, SseParser, decode, headers, refusal

T = TypeVar("T")


class Client:
    """One connection pool to one box; close it. Every method raises BoxError, nothing of the HTTP library."""

    def __init__(self, address: Address, *, silence_s: float = SILENCE_S) -> None:
        self.address = address
        self._silence_s = silence_s
        local = address.socket is not None
        transport = httpx.AsyncHTTPTransport(
            uds=str(address.socket) if local else None, verify=False if local else tls(address)
        )
        self._http = httpx.AsyncClient(
            transport=transport,
            base_url=address.base_url,
            headers=headers(address),
            timeout=LIMITS,
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def get(self, path: str, kind: type[T], params: Mapping[str, str] | None = None) -> T:
        """GET a path below /api/v1 as a struct."""
        return decode(await self._send("GET", path, params=params), kind)

    async def post(self, path: str, body: object = None) -> bytes:
        """POST JSON to a path below /api/v1; the raw answer."""
        return await self._send("POST", path, body=body)

    async def read(self, path: str) -> bytes:
        """GET a path below /api/v1; the raw answer, whatever its form."""
        return await self._send("GET", path)

    async def patch(self, path: str, body: object = None) -> bytes:
        """PATCH a path below /api/v1; the raw answer."""
        return await self._send("PATCH", path, body=body)

    async def put(self, path: str, body: object) -> bytes:
        """PUT JSON to a path below /api/v1; the raw answer."""
        return await self._send("PUT", path, body=body)

    async def delete(self, path: str) -> bytes:
        """DELETE a path below /api/v1; the raw answer."""
        return await self._send("DELETE", path)

    async def stream(
        self, path: str, params: Mapping[str, str] | None = None, *, last_id: str = ""
    ) -> AsyncIterator[SseEvent]:
        """The events of a stream until the box ends it; the first is our own, of kind `open`.

        Raises Lost when the line breaks or nothing, not even a keepalive, came for `silence_s`.
        """
        extra = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
        request = self._http.build_request(
            "GET", API + path, params=params, headers=extra, timeout=httpx.Timeout(CONNECT_S, read=None)
        )
        response = await self._open(request)
        try:
            yield SseEvent(OPEN, "")
            async for event in self._events(response):
                yield event
        finally:
            await response.aclose()

    async def _open(self, request: httpx.Request) -> httpx.Response:
        try:
            async with asyncio.timeout(ANSWER_S):
                response = await self._http.send(request, stream=True)
                if response.status_code >= 300:
                    body = await response.aread()
                    await response.aclose()
                    raise refusal(response.status_code, body)
                return response
        except (httpx.HTTPError, TimeoutError) as error:
            raise failure(self.address, error) from error

    async def _events(self, response: httpx.Response) -> AsyncIterator[SseEvent]:
        parser, chunks = SseParser(), response.aiter_bytes()
        while True:
            try:
                async with asyncio.timeout(self._silence_s):
                    chunk = await anext(chunks, None)
            except (httpx.HTTPError, TimeoutError) as error:
                raise failure(self.address, error) from error
            if chunk is None:
                return
            for event in parser.feed(chunk):
                yield event

    async def _patiently(self, answer: Coroutine[Any, Any, T]) -> T:
        """The answer. Raises BoxError as soon as there is nothing to wait for."""
        task = asyncio.ensure_future(answer)
        try:
            while not (await asyncio.wait([task], timeout=PATIENCE_S))[0]:
                if (error := await asyncio.to_thread(down, self.address)) is not None:
                    raise error
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task])

    async def _send(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, body: object = None
    ) -> bytes:
        fields: dict[str, Any] = {} if body is None else {"content": msgspec.json.encode(body)}
        if body is not None:
            fields["headers"] = {"Content-Type": "application/json"}
        try:
            async with asyncio.timeout(ANSWER_S + CONNECT_S):
                response = await self._patiently(self._http.request(method, API + path, params=params, **fields))
        except (httpx.HTTPError, TimeoutError) as error:
            raise failure(self.address, error) from error
        if response.status_code >= 300:
            raise refusal(response.status_code, response.content)
        return response.content
