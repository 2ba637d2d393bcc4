"""A start by systemd: what to run is in a file (`appliance.drivers.units` writes it), the secret comes later.

The unit is the same for all instances and can be changed by root alone, so it names only the file. No secret is in
there: it is asked for on a socket, where the kernel proves to the appliance which unit's main process asks.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

LOGS = Path("/run/weir-log")  # in memory, ours alone: TemporaryFileSystem= of the unit
BOOT_FD = 3  # where another program than ours finds its boot line
SILENCE_S = 10.0
_PAUSE_S = 2.0
_OURS = ["-I", "-m", "launcher"]
_LARGEST_BYTES = 64 * 1024


class Launch(Struct, frozen=True):
    """What the appliance wants run: a whole command line and all of the environment, but for what is secret in it."""

    argv: list[str]
    env: dict[str, str]
    boot_socket: str


class Given(Struct, frozen=True):
    """The appliance's answer on its boot socket: a line for the program, and more of its environment."""

    boot: str
    env: dict[str, str] = {}


def arguments(argv: Sequence[str]) -> list[str]:
    """The launcher's arguments: those in the file of `--unit FILE`, else `argv` itself.

    Becomes the other program where the file names one; then it does not return. A file that is not usable ends the
    process with a sentence.
    """
    if len(argv) != 2 or argv[0] != "--unit":
        return list(argv)
    try:
        launch = msgspec.json.decode(Path(argv[1]).read_bytes(), type=Launch)
    except (OSError, msgspec.DecodeError) as error:
        raise SystemExit(f"launcher: what to run can't be read from {argv[1]}: {error}") from error
    if not launch.argv:
        raise SystemExit("launcher: the appliance ended while it placed this launcher; it places another one")
    if launch.argv[1:4] != _OURS:
        _become(launch)
    os.environ.clear()
    os.environ.update(launch.env)
    # In the environment, since a launcher of before would refuse the word; nor did appliances of before say it.
    logs = launch.env.get("WEIR_LOGS", str(LOGS) if LOGS.is_dir() else "")
    return [*launch.argv[4:], "--logs", logs, "--boot-socket", launch.boot_socket]


def ask(path: str) -> Given:
    """What the appliance gives the main process of this unit. Blocks for seconds. Raises OSError, ValueError."""
    with socket.socket(socket.AF_UNIX) as asked:
        asked.settimeout(SILENCE_S)
        asked.connect(path)
        answer = bytearray()
        while len(answer) < _LARGEST_BYTES and (chunk := asked.recv(4096)):
            answer += chunk
    return msgspec.json.decode(bytes(answer), type=Given)


async def ask_at_ease(path: str) -> Given:
    """The same without blocking. Raises OSError (TimeoutError is one), ValueError."""
    async with asyncio.timeout(SILENCE_S):
        reader, writer = await asyncio.open_unix_connection(path)
        try:
            return msgspec.json.decode(await reader.read(_LARGEST_BYTES), type=Given)
        finally:
            writer.close()


def _become(launch: Launch) -> None:
    """Run the other program in our place, with its secrets in its environment and on a pipe."""
    given = _patiently(launch.boot_socket)
    read, write = os.pipe()
    os.write(write, given.boot.encode())
    os.close(write)
    os.dup2(read, BOOT_FD)
    os.set_inheritable(BOOT_FD, True)  # `dup2` leaves it alone where it was the right number already
    os.execve(launch.argv[0], launch.argv, {**launch.env, **given.env})  # noqa: S606 - no shell is wanted


def _patiently(path: str) -> Given:
    while True:
        try:
            return ask(path)
        except (OSError, ValueError) as error:
            sys.stderr.write(f"launcher: waiting for the appliance ({path}): {error}\n")
            time.sleep(_PAUSE_S)
