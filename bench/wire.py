"""A load generator that costs next to nothing itself: HTTP/1.1 over raw connections, requests made beforehand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from statistics import quantiles

from msgspec import Struct

DEADLINE_S = 30.0
Next = Callable[[int, int], bytes]  # number of the client, number of its request -> the whole request


class Rate(Struct, frozen=True):
    """What came of a load: answers with status 2xx in a second, milliseconds until each, and how many were others."""

    per_s: float
    took_ms: Sequence[float]
    failed: int

    def percentile_ms(self, percent: int) -> float:
        return quantiles(self.took_ms, n=100)[percent - 1]


class _Client(asyncio.Protocol):
    """One kept connection: asks, waits for the whole answer, asks again until `until`."""

    def __init__(self, number: int, following: Next, until: float, done: asyncio.Future[None]) -> None:
        self._number, self._following, self._until, self._done = number, following, until, done
        self._transport: asyncio.Transport | None = None
        self._asked = 0
        self._began = 0.0
        self._head = bytearray()
        self._left = -1  # bytes of the body still to come; -1 while the head is read
        self.took_ms: list[float] = []
        self.failed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        assert self._transport is not None
        request = self._following(self._number, self._asked)
        self._asked += 1
        self._began = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._left >= 0:
            self._left -= len(data)
        else:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            self._left = _length(self._head[:end]) - (len(self._head) - end - 4)
        if self._left <= 0:
            self._answered()

    def _answered(self) -> None:
        self.took_ms.append((time.perf_counter() - self._began) * 1000)
        if not self._head.startswith(b"HTTP/1.1 2"):
            self.failed += 1
            self.last = bytes(self._head[:400])
        self._head.clear()
        self._left = -1
        if time.perf_counter() < self._until:
            self._ask()
        else:
            assert self._transport is not None
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._done.done():
            if error is None:
                self._done.set_result(None)
            else:
                self._done.set_exception(error)


def load(port: int, clients: int, following: Next, for_s: float) -> Rate:
    """`clients` connections to loopback, each asking one request after the other for `for_s`.

    Raises OSError for a connection that was lost, TimeoutError when answers stay away.
    """
    return asyncio.run(_load(port, clients, following, for_s))


async def _load(port: int, clients: int, following: Next, for_s: float) -> Rate:
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    made: list[_Client] = []
    ends: list[asyncio.Future[None]] = []
    for number in range(clients):
        ends.append(loop.create_future())
        made.append(_Client(number, following, began + for_s, ends[-1]))
    for client in made:
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc]
    async with asyncio.timeout(for_s + DEADLINE_S):
        await asyncio.gather(*ends)
    took_s = time.perf_counter() - began
    took = [ms for client in made for ms in client.took_ms]
    failed = sum(client.failed for client in made)
    if failed:
        print(next(client.last for client in made if client.failed))
    return Rate((len(took) - failed) / took_s, took, failed)


def request(method: str, path: str, token: str, body: bytes = b"") -> bytes:
    """A whole request as bytes."""
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}\r\n".encode() + body


def _length(head: bytes | bytearray) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0
