"""A program of its own: the files of an instance that does not run, given to whoever makes a backup.

    python -m launcher.offer DIRECTORY SOCKET

Connects to SOCKET, where the backup waits, reads a line (`packages`, or an empty one) and writes what `launcher.pack`
writes. The other end asks the kernel who we are, so nothing has to be told that is secret.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from launcher.pack import Packer

CONNECT_S = 30.0
_LINE_BYTES = 64


def offer(directory: Path, path: str) -> None:
    """Raises OSError: nobody waits there, he waits no more, or the directory can't be read."""
    with socket.socket(socket.AF_UNIX) as asked:
        asked.settimeout(CONNECT_S)
        asked.connect(path)
        wanted = _line(asked)
        asked.settimeout(None)  # a backup may take its time; the unit has a limit
        with asked.makefile("wb") as target:
            Packer(directory, target, packages=wanted == b"packages").run()


def _line(asked: socket.socket) -> bytes:
    said = b""
    while not said.endswith(b"\n"):
        chunk = asked.recv(1)
        if not chunk or len(said) > _LINE_BYTES:
            raise ConnectionError("whoever waits there asked for nothing")
        said += chunk
    return said.strip()


def main() -> int:
    """0 given, 1 not, with the reason on standard error."""
    try:
        offer(Path(sys.argv[1]), sys.argv[2])
    except OSError as error:
        sys.stderr.write(f"the files of {sys.argv[1]} were not given: {error.strerror or error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
