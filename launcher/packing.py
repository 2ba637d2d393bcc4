"""Runs the programs that give and take the files of an instance: of their own, so that what they need is given back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from launcher.process import Process, spawn

CHUNK_BYTES = 64 * 1024
END_S = 5.0
READY_S = 30.0  # a slow box starts Python
_ENV = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}


class NotTaken(Exception):
    """The files that wait for this instance could not be put in place; the text says why."""


async def packed(directory: Path, *, packages: bool) -> AsyncIterator[bytes]:
    """A tar of what is in `directory` (see `launcher.pack`), as fast as somebody takes it. It ends without its last
    member when it is not whole. Raises SpawnFailed."""
    words = ["launcher.pack", str(directory), *(["--packages"] if packages else [])]
    async with _running(words, directory) as (_, source):
        while chunk := await source.read(CHUNK_BYTES):
            yield chunk


async def take(directory: Path, url: str, token: str) -> None:
    """Put the files at `url`, a tar, in their places below `directory`. Raises NotTaken, SpawnFailed."""
    near, far = socket.socketpair()
    with near:
        near.setblocking(False)
        async with _running(["launcher.handed", str(directory), url], directory, told=far) as (process, source):
            await _tell(near, token)
            words = await source.read(CHUNK_BYTES)
            if (await process.exited).code != 0:
                raise NotTaken(words.decode(errors="replace").strip()[:500] or "it was ended")


async def _tell(near: socket.socket, token: str) -> None:
    """The token, when the program says that nobody can look into it. Until then a flow, which has the same user, could;
    and a pipe it could open by /proc, but no socket. One that ends without a word says why on its output."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):  # TimeoutError is one
        async with asyncio.timeout(READY_S):
            if await loop.sock_recv(near, 1):
                await loop.sock_sendall(near, f"{token}\n".encode())
    with contextlib.suppress(OSError):
        near.shutdown(socket.SHUT_WR)  # it waits for nothing more


@asynccontextmanager
async def _running(
    words: Sequence[str], directory: Path, told: socket.socket | None = None
) -> AsyncIterator[tuple[Process, asyncio.StreamReader]]:
    """A program of ours and what it says; ended at the end of the block. `told` is its standard input, closed here."""
    near, far = os.pipe()
    fds = {1: far} if told is None else {0: told.fileno(), 1: far}
    try:
        process = spawn([sys.executable, "-I", "-m", *words], env=_ENV, cwd=directory, fds=fds)
    except BaseException:
        os.close(near)
        raise
    finally:
        os.close(far)
        if told is not None:
            told.close()
    source = asyncio.StreamReader(limit=CHUNK_BYTES)
    pipe = open(near, "rb", buffering=0)  # noqa: PTH123, SIM115, ASYNC230 - a descriptor; the transport closes it
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(source), pipe
    )
    try:
        yield process, source
    finally:
        transport.close()
        with contextlib.suppress(Exception):
            if process.alive:
                await process.stop(END_S)
