"""The launcher's HTTP server against clients that misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from launcher import web
from launcher.web import Bad, Reply, Request, Server, json_reply
from tests.support import eventually, free_port


async def echo(request: Request) -> Reply:
    return json_reply({"query": request.query, "body": request.body.decode()})


async def broken(request: Request) -> Reply:
    raise RuntimeError("secret detail")


async def refused(request: Request) -> Reply:
    raise Bad(409, "no", "not now")


async def numbers(request: Request) -> Reply:
    async def chunks() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"%d\n" % number

    return Reply(chunks=chunks(), content_type="text/plain")


async def frames(request: Request) -> Reply:
    async def each() -> AsyncIterator[bytes]:
        while True:
            yield b"tick"
            await asyncio.sleep(0)

    return Reply(frames=each())


UPGRADE = (
    b"GET /frames HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer right\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Box:
    def __init__(self, server: Server, port: int) -> None:
        self.server, self.port = server, port

    async def raw(self, data: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        await writer.drain()
        async with asyncio.timeout(5):
            answer = await reader.read(65536)
        writer.close()
        return answer


@pytest.fixture
async def box() -> AsyncIterator[Box]:
    routes = {("POST", "/echo"): echo, ("GET", "/broken"): broken, ("GET", "/refused"): refused}
    server = Server({**routes, ("GET", "/numbers"): numbers})
    port = free_port()
    await server.open(port)
    server.secret = "right"
    yield Box(server, port)
    await server.close()


@pytest.fixture
async def client(box: Box) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(
        f"http://127.0.0.1:{box.port}", headers={"Authorization": "Bearer right"}
    ) as session:
        yield session


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic right"}])
async def test_nobody_gets_in_without_the_secret(box: Box, header: dict[str, str]) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{box.port}/echo", headers=header) as answer,
    ):
        assert answer.status == 401 and (await answer.json())["code"] == "unauthorized"


async def test_before_there_is_a_secret_the_answer_is_try_again(box: Box, client: aiohttp.ClientSession) -> None:
    box.server.secret = ""
    async with client.post("/echo", headers={"Authorization": "Bearer "}) as answer:
        assert answer.status == 503


async def test_routes_errors_and_streams(client: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture) -> None:
    async with client.post("/echo?a=1&b=%20", data="hello") as answer:
        assert await answer.json() == {"query": {"a": "1", "b": " "}, "body": "hello"}
    async with client.get("/nothing") as answer:
        assert (answer.status, (await answer.json())["code"]) == (404, "not_found")
    async with client.get("/refused") as answer:
        assert (answer.status, (await answer.json())["code"]) == (409, "no")
    async with client.get("/broken") as answer:
        assert answer.status == 500 and "secret" not in await answer.text()
    assert "secret detail" in caplog.text, "the trace is in our log"
    async with client.get("/numbers") as answer:
        assert await answer.read() == b"0\n1\n2\n"


async def test_a_body_that_is_too_large_is_refused_while_it_comes(client: aiohttp.ClientSession) -> None:
    async with client.post("/echo", data=b"x" * (web.BODY_BYTES + 1)) as answer:
        assert answer.status == 413


async def test_garbage_and_endless_headers_end_the_connection(box: Box) -> None:
    assert b"400" in (await box.raw(b"\x16\x03\x01 not http\r\n\r\n")).split(b"\r\n")[0]
    fields = b"GET /numbers?" + b"&".join([b"a"] * 30) + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert b" 400 " in (await box.raw(fields)).split(b"\r\n")[0]
    head = b"GET /numbers HTTP/1.1\r\nHost: x\r\n"
    assert b" 431 " in (await box.raw(head + b"X-A: " + b"y" * 40_000)).split(b"\r\n")[0]


async def test_requests_in_one_connection_and_a_silent_client(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "IDLE_S", 0.2)
    one = b"GET /numbers HTTP/1.1\r\nHost: x\r\nAuthorization: bearer right\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", box.port)
    for _ in range(2):
        writer.write(one)
        assert b"200" in await reader.readuntil(b"0\r\n\r\n")
    async with asyncio.timeout(5):
        assert await reader.read() == b"", "closed after the idle time"
    writer.close()


ASK = b"GET /numbers HTTP/1.1\r\nHost: x\r\nAuthorization: bearer right\r\n\r\n"


async def test_strangers_who_hold_connections_lock_nobody_out(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any program on the box, a flow of another instance too, can connect; only the secret makes a client."""
    monkeypatch.setattr(web, "CONNECTIONS", 2)
    held = [await asyncio.open_connection("127.0.0.1", box.port) for _ in range(10)]
    async with asyncio.timeout(5):
        assert [await reader.read() for reader, _ in held[:8]] == [b""] * 8, "the oldest give way"
        known, writer = await asyncio.open_connection("127.0.0.1", box.port)
        for _ in range(2):
            writer.write(ASK)
            assert b"200" in await known.readuntil(b"0\r\n\r\n")
            held += [await asyncio.open_connection("127.0.0.1", box.port) for _ in range(10)]
            assert [await reader.read() for reader, _ in held[8:-1]] == [b""] * (len(held) - 9)
    for _, each in [*held, (known, writer)]:
        each.close()


async def test_connections_of_clients_are_bounded_too(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "CONNECTIONS", 2)
    clients = [await asyncio.open_connection("127.0.0.1", box.port) for _ in range(2)]
    async with asyncio.timeout(5):
        for reader, writer in clients:
            writer.write(ASK)
            assert b"200" in await reader.readuntil(b"0\r\n\r\n")
        late, closing = await asyncio.open_connection("127.0.0.1", box.port)
        assert await late.read() == b""
    for _, writer in [*clients, (late, closing)]:
        writer.close()


async def test_a_websocket_that_is_closed_while_frames_are_sent_is_no_fault(
    box: Box, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the client does with the protocol ends its connection, and is told nobody."""
    await box.server.close()
    server = Server({("GET", "/frames"): frames})
    await server.open(box.port)
    server.secret = "right"
    close, ping, text = b"\x88\x80\0\0\0\0", b"\x89\x80\0\0\0\0", b"\x81\x80\0\0\0\0"
    unmasked, reserved = b"\x88\0", b"\xff\x80\0\0\0\0"
    for said in (close, close + ping + text, close + close, close + b"x" * 100, ping * 50 + close, unmasked, reserved):
        for early in (b"", said):
            reader, writer = await asyncio.open_connection("127.0.0.1", box.port)
            writer.write(UPGRADE + early)
            assert b"101" in await reader.readline()
            if not early:
                await reader.readuntil(b"tick")
                writer.write(said)
            async with asyncio.timeout(5):
                while await reader.read(65536):
                    pass
            writer.close()
    await eventually(lambda: not server._connections)
    await server.close()
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []
