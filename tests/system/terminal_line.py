"""A program on a terminal of its own, for tests: what it printed, what is typed."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Sequence

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Line:
    """The program runs while it is entered; its terminal has this size."""

    def __init__(self, command: Sequence[str], *, rows: int = 24, columns: int = 80) -> None:
        self._command = command
        self._size = (rows, columns)
        self._wire = b""

    def __enter__(self) -> Line:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *self._size, 0, 0))
        self._process = subprocess.Popen(
            ["setsid", "--ctty", "--wait", *self._command], stdin=slave, stdout=slave, stderr=slave
        )
        os.close(slave)
        os.set_blocking(self._master, False)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._master)  # a hang-up, as from a terminal that is gone
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)

    def said(self) -> str:
        """All that it printed until now, without escapes."""
        try:
            while more := os.read(self._master, 65536):
                self._wire += more
        except OSError:  # nothing for now, or nobody holds the other end any more
            pass
        return ESCAPES.sub("", self._wire.decode(errors="replace"))

    def types(self, text: str) -> None:
        """Type a line."""
        os.write(self._master, f"{text}\r".encode())

    def ended(self) -> int | None:
        """Its exit status; None while it runs."""
        self.said()
        return self._process.poll()
