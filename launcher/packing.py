"""Runs the programs that give and take the files of an instance: of their own, so that what they need is given back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from launcher.process import Process, spawn

CHUNK_BYTES = 64 * 1024
END_S = 5.0
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
    async with _running(["launcher.handed", str(directory), url], directory, said=token) as (process, source):
        words = await source.read(CHUNK_BYTES)
        if (await process.exited).code != 0:
            raise NotTaken(words.decode(errors="replace").strip()[:500] or "it was ended")


@asynccontextmanager
async def _running(
    words: Sequence[str], directory: Path, said: str = ""
) -> AsyncIterator[tuple[Process, asyncio.StreamReader]]:
    """A program of ours and what it says; ended at the end of the block. `said` is a line for it: what it is told so
    nobody else can read."""
    near, far = os.pipe()
    heard, told = os.pipe()
    os.write(told, f"{said}\n".encode())  # a pipe holds more than a token
    os.close(told)
    try:
        process = spawn([sys.executable, "-I", "-m", *words], env=_ENV, cwd=directory, fds={0: heard, 1: far})
    except BaseException:
        os.close(near)
        raise
    finally:
        os.close(far)
        os.close(heard)
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
