"""The launcher's terminal: a real shell on a real pair of terminal ends."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from launcher.terminal import Terminals
from tests.support import eventually

pytestmark = pytest.mark.real


def frame(kind: bytes, body: bytes) -> bytes:
    return struct.pack("!cI", kind, len(body)) + body


@asynccontextmanager
async def shell(directory: Path) -> AsyncIterator[tuple[asyncio.StreamWriter, Callable[[bytes], Awaitable[bytes]]]]:
    terminals = Terminals(directory)
    done = asyncio.Event()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await terminals.serve(reader, writer)
        writer.close()
        done.set()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    heard = bytearray()

    async def until(word: bytes) -> bytes:
        async with asyncio.timeout(10):
            while word not in heard:
                chunk = await reader.read(4096)
                assert chunk, bytes(heard)
                heard.extend(chunk)
        return bytes(heard)

    try:
        yield writer, until
    finally:
        writer.close()
        async with asyncio.timeout(10):
            await done.wait()
        server.close()


async def test_it_is_a_terminal_of_its_own(tmp_path: Path) -> None:
    async with shell(tmp_path) as (writer, until):
        writer.write(frame(b"r", struct.pack("!HH", 33, 99)))
        writer.write(frame(b"d", b"stty size; pwd; tty; cut -d' ' -f8 /proc/$$/stat >group; echo en''d\n"))
        said = await until(b"end")
        assert b"33 99" in said and str(tmp_path).encode() in said and b"/dev/pts/" in said
        # It controls the shell: Ctrl-C and job control work.
        assert int((tmp_path / "group").read_text()) > 0


async def test_it_ends_with_its_client_and_leaves_nothing(tmp_path: Path) -> None:
    async with shell(tmp_path) as (writer, until):
        writer.write(frame(b"d", b"echo $$ >pid; echo rea''dy\n"))
        await until(b"ready")
        pid = (tmp_path / "pid").read_text().strip()
    await eventually(lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text())


async def test_a_frame_of_another_kind_or_size_ends_nobody_else(tmp_path: Path) -> None:
    async with shell(tmp_path) as (writer, until):
        writer.write(frame(b"x", b"?") + frame(b"r", b"odd") + frame(b"d", b"echo st''ill\n"))
        await until(b"still")
        writer.write(struct.pack("!cI", b"d", 1 << 30))  # ends this one
