"""Connections that nginx keeps to Node-RED: closed by its end just when nginx writes into one."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.proxy.model import Site
from tests.proxy_box import ProxyBox, quiet_port

pytestmark = pytest.mark.real
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Hasty:
    """Answers `good` requests on each connection and closes it at the next one, unanswered."""

    def __init__(self) -> None:
        self.good = 1
        self.seen: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            for number in range(100):
                head = await reader.readuntil(b"\r\n\r\n")
                self.seen.append(head.split()[0].decode())
                if number >= self.good:
                    break
                writer.write(ANSWER)
                await writer.drain()
        writer.close()


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[ProxyBox]:
    box = ProxyBox(tmp_path / "h")
    try:
        yield box
    finally:
        await box.close()


@pytest.fixture
async def hasty(box: ProxyBox) -> AsyncIterator[tuple[Hasty, str]]:
    """The upstream, and its URL through nginx."""
    upstream = Hasty()
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    site = Site(str(uuid.uuid4()), "hasty", quiet_port(), server.sockets[0].getsockname()[1])
    box.sites = [site]
    box.flag(site).parent.mkdir(parents=True)
    box.flag(site).touch()
    await box.run()
    yield upstream, box.site_url(site)
    server.close()
    await server.wait_closed()


async def test_what_met_a_closing_connection_is_asked_again_on_a_new_one(
    box: ProxyBox, hasty: tuple[Hasty, str]
) -> None:
    upstream, url = hasty
    async with box.client() as client:
        for _ in range(4):
            async with client.get(url) as answer:
                assert answer.status == 200
    assert len(upstream.seen) > 4  # some were asked twice


async def test_what_may_change_something_is_not(box: ProxyBox, hasty: tuple[Hasty, str]) -> None:
    upstream, url = hasty
    async with box.client() as client:
        for data in (b"", b"42"):
            for _ in range(4):
                before = len(upstream.seen)
                async with client.post(url, data=data) as answer:
                    assert answer.status in (200, 503)
                assert len(upstream.seen) == before + 1


async def test_what_node_red_dies_of_is_asked_once(box: ProxyBox, hasty: tuple[Hasty, str]) -> None:
    upstream, url = hasty
    upstream.good = 0
    async with box.client() as client, client.get(url) as answer:
        assert answer.status == 503
    assert upstream.seen == ["GET"]
