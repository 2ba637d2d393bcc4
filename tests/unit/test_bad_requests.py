"""Requests that are bent, or none: refused, and nothing is written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.web.routes import API
from tests.people_box import Answer, Caller
from tests.two_teams import Place
from tests.web_box import web_box


@pytest.fixture
async def place(home: Path) -> AsyncIterator[Place]:
    async with web_box(home) as box:
        place = Place(box)
        await place.furnish()
        yield place


@pytest.mark.parametrize(
    ("head", "body", "wanted"),
    [
        (["Authorization: Bearer a", "Authorization: Bearer b"], b"", 400),
        (["Host: other.example"], b"", 400),
        (["Content-Length: 2", "Content-Length: 3"], b"{} ", 400),
        (["Content-Length: 2", "Transfer-Encoding: chunked"], b"0\r\n\r\n", 400),
        (["Content-Length: -1"], b"", 400),
        (["Content-Length: 2", "Content-Type: application/json", "Content-Type: text/plain"], b"{}", 400),
        (["X-Long: " + "x" * 20_000], b"", 400),
        (["X Space: 1"], b"", 400),
        (["X-Nul: a\0b"], b"", 400),
        (["Content-Encoding: gzip", "Content-Length: 2", "Content-Type: application/json"], b"{}", 415),
        (["Transfer-Encoding: chunked", "Content-Type: application/json"], b"zz\r\n", 400),
        (["Cookie: " + "; ".join(f"c{n}=1" for n in range(400))], b"", 200),
    ],
)
async def test_heads_that_are_bent(place: Place, head: list[str], body: bytes, wanted: int) -> None:
    before = place.dump()
    method = "PUT" if body else "GET"
    lines = [f"{method} {API}/user HTTP/1.1", "Host: box.test", *head, "Connection: close", "", ""]
    assert await _raw(place, "\r\n".join(lines).encode("latin-1") + body) == wanted
    assert place.dump() == before


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        (f"{API}/" + "x" * 100_000, 400),
        (f"{API}/user?" + "a=1&" * 1500, 200),
        (f"{API}/instances/" + "x" * 4000, 400),
        (f"{API}/../../etc/passwd", 404),
        (f"{API}//user", 404),
        (f"http://other.example{API}/user", 200),
        ("*", 400),
        (f"{API}/user#frag", 200),
        (f"{API}/user\0", 400),
    ],
)
async def test_targets_that_are_bent(place: Place, target: str, wanted: int) -> None:
    status = await _raw(place, f"GET {target} HTTP/1.1\r\nHost: box.test\r\nConnection: close\r\n\r\n".encode())
    assert status == wanted or (status == 404 and wanted == 400)


async def test_what_is_not_http(place: Place) -> None:
    for garbage in (  # the connection ends, with an answer or without
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\0" * 100 + b"\r\n\r\n",
    ):
        assert await _raw(place, garbage) in (400, 505, 0), garbage
    assert (await place.root("GET", "/user")).status == 200


async def _raw(place: Place, sent: bytes) -> int:
    """The status of the answer to these bytes on api.sock, 0 when the connection was closed without one."""
    reader, writer = await asyncio.open_unix_connection(str(place.box.context.home.api_socket))
    try:
        async with asyncio.timeout(10):
            writer.write(sent)
            answer = await reader.read()
    except ConnectionError:
        return 0
    finally:
        writer.close()
    assert answer.count(b"HTTP/1.1 ") <= 1, answer[:500]
    return int(answer.split(b" ", 2)[1]) if answer else 0


async def test_a_refusal_does_not_repeat_the_credential(place: Place) -> None:
    answer: Answer = await Caller(place.box, "ffpat_secret", "tcp")("GET", "/user")
    assert answer.status == 401 and "secret" not in answer.text
