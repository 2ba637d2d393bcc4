"""Sockets that systemd opened for us before we started (sd_listen_fds(3)): clients wait in them while we restart."""

from __future__ import annotations

import os
import socket

_FIRST = 3


class Inherited:
    """The sockets handed to this process, known by their address: a name beside it could only contradict it."""

    def __init__(self, sockets: dict[str, socket.socket]) -> None:
        self._sockets = sockets

    def take(self, address: str) -> socket.socket | None:
        """The listening socket with this path or `host:port`, once; None when it was not handed over."""
        return self._sockets.pop(address, None)

    def close_rest(self) -> None:
        """Close what nobody took: a port that the configuration no longer names must refuse, not wait for ever."""
        for left in self._sockets.values():
            left.close()
        self._sockets.clear()


def inherited(environ: dict[str, str] | os._Environ[str]) -> Inherited:
    """What systemd handed over; nothing where it did not, or meant another process. Takes the variables away, so that
    no child believes that they are for it."""
    count, pid = environ.pop("LISTEN_FDS", ""), environ.pop("LISTEN_PID", "")
    environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdigit():
        return Inherited({})
    return Inherited({_address(each): each for each in map(_open, range(_FIRST, _FIRST + int(count)))})


def _open(fd: int) -> socket.socket:
    os.set_inheritable(fd, False)
    opened = socket.socket(fileno=fd)
    opened.setblocking(False)
    return opened


def _address(opened: socket.socket) -> str:
    name = opened.getsockname()
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else str(name)
