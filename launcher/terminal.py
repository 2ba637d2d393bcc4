"""A shell of the instance, for whoever the appliance lets in: a terminal of its own in the instance's sandbox, as its
user, under its limits. What the shell can do, the flows can do as well.

From the client come frames: one byte (`d`: keys, `r`: rows and columns), the length in four, and so many bytes. Back
goes what the shell prints, as it is; the connection ends with the shell.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import struct
import termios
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from launcher.process import SpawnFailed, StillAlive, spawn
from launcher.web import SEND_S, Bad

AT_ONCE = 8
LONGEST_S = 12 * 3600.0
LARGEST_BYTES = 64 * 1024
LAST_WORDS_S = 0.5
CHUNK = 16 * 1024
_HEAD = struct.Struct("!cI")
_SIZE = struct.Struct("!HH")
_PATH = "/usr/local/bin:/usr/bin:/bin"


class Terminals:
    """The shells of one instance: so many at once."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._open = 0

    def check(self) -> None:
        """Raises Bad when there are too many already."""
        if self._open >= AT_ONCE:
            raise Bad(503, "unavailable", f"{AT_ONCE} shells of this instance are open; end one of them")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Run a shell until it ends, or its client goes."""
        master, slave = os.openpty()
        os.set_blocking(master, False)
        home = self._directory
        try:
            process = spawn(_shell(), env=_environment(home), cwd=home, fds=dict.fromkeys(range(3), slave))
        except SpawnFailed as error:
            writer.write(f"{error}\r\n".encode())
            os.close(master)
            return
        finally:
            os.close(slave)
        self._open += 1
        tasks = [asyncio.create_task(each) for each in (_out(master, writer), _in(reader, master))]
        try:
            ended: list[asyncio.Future[Any]] = [*tasks, process.exited]
            await asyncio.wait(ended, timeout=LONGEST_S, return_when=asyncio.FIRST_COMPLETED)
            if process.exited.done():
                await asyncio.wait(tasks[:1], timeout=LAST_WORDS_S)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            os.close(master)  # the kernel hangs up on all that is left on it
            self._open -= 1
            with contextlib.suppress(StillAlive):
                await process.stop(1.0)


def _shell() -> list[str]:
    shell = next((each for each in ("/bin/bash", "/bin/sh") if Path(each).exists()), "/bin/sh")
    # `--ctty` gives it the terminal as its controlling one: Ctrl-C and job control work there.
    return ["/usr/bin/setsid", "--ctty", "--wait", shell, "-i"]


def _environment(directory: Path) -> Mapping[str, str]:
    path = f"{directory}/launcher/bin:{_PATH}"
    return {"HOME": str(directory), "PATH": path, "TERM": "xterm-256color", "LANG": "C.UTF-8"}


async def _out(master: int, writer: asyncio.StreamWriter) -> None:
    while True:
        await _ready(master, write=False)
        try:
            said = os.read(master, CHUNK)
        except BlockingIOError:
            continue
        except OSError:  # EIO: nobody holds the other end any more
            return
        if not said:
            return
        writer.write(said)
        async with asyncio.timeout(SEND_S):
            await writer.drain()


async def _in(reader: asyncio.StreamReader, master: int) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, OSError):
        while True:
            kind, length = _HEAD.unpack(await reader.readexactly(_HEAD.size))
            if length > LARGEST_BYTES:
                return
            body = await reader.readexactly(length)
            if kind == b"r" and length == _SIZE.size:
                rows, columns = _SIZE.unpack(body)
                fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            elif kind == b"d":
                await _type(master, body)


async def _type(master: int, keys: bytes) -> None:
    while keys:
        try:
            keys = keys[os.write(master, keys) :]
        except BlockingIOError:  # its program reads nothing: so does the client's
            await _ready(master, write=True)


async def _ready(fd: int, *, write: bool) -> None:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def ready() -> None:
        if not future.done():
            future.set_result(None)

    add, remove = (loop.add_writer, loop.remove_writer) if write else (loop.add_reader, loop.remove_reader)
    add(fd, ready)
    try:
        await future
    finally:
        remove(fd)
