"""TCP ports: free or not, and whose. Read from /proc, never by connecting to somebody's service."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

from appliance.system import sockdiag
from appliance.system.pidfd import out_of_descriptors, user_of
from appliance.system.sockdiag import Listening

PROC = Path("/proc")
_LISTEN = "0A"


def port_free(port: int) -> bool:
    """Whether a listener on `port` could be opened now, on loopback and on all addresses.

    A port that a launcher has bound but does not listen on yet is taken; one that only closed connections still
    hold (TIME_WAIT, a minute long) is free, as it is for listeners, which set SO_REUSEADDR.
    """
    hosts = ("127.0.0.1", "0.0.0.0")  # noqa: S104 - bound for a moment, nobody is listened to
    if all(_can_bind(host, port, reuse=False) for host in hosts):
        return True
    return all(_can_bind(host, port, reuse=True) for host in hosts) and _has_connections(port)


def _can_bind(host: str, port: int, *, reuse: bool) -> bool:
    with socket.socket() as probe:
        if reuse:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            if reuse:
                probe.listen(1)
        except (OSError, OverflowError):
            return False
    return True


def _has_connections(port: int) -> bool:
    """Whether connections, closing or closed, have `port` at this end."""
    suffix = f":{port:04X}"
    rows = [line.split() for name in ("net/tcp", "net/tcp6") for line in _lines(PROC / name)]
    return any(row[1].endswith(suffix) and row[3] != _LISTEN for row in rows)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()[1:]
    except OSError as error:  # no IPv6 in this kernel
        if out_of_descriptors(error):
            raise
        return []


def free_port(*, host: str = "127.0.0.1") -> int:
    """A port nobody listens on now, chosen by the kernel."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def listener(port: int, host: str = "127.0.0.1") -> Listening | None:
    """The socket that listens on exactly `host:port`; None without one, or when several share it."""
    wanted = socket.inet_aton(host)
    found = [each for each in _listeners(port) if each.address == wanted]
    return found[0] if len(found) == 1 else None


def listener_inode(port: int, host: str = "127.0.0.1") -> int | None:
    """The inode of what `listener` finds."""
    found = listener(port, host)
    return found.inode if found is not None else None


def any_listener(port: int) -> Listening | None:
    """The one socket that a connection to loopback reaches at `port`, on whichever address it listens; None without
    one, or when several could be meant."""
    wanted = (socket.inet_aton("127.0.0.1"), bytes(4), bytes(16))
    found = [each for each in (*_listeners(port), *_listeners(port, socket.AF_INET6)) if each.address in wanted]
    return found[0] if len(found) == 1 else None


def any_listener_inode(port: int) -> int | None:
    """The inode of what `any_listener` finds."""
    found = any_listener(port)
    return found.inode if found is not None else None


def _listeners(port: int, family: socket.AddressFamily = socket.AF_INET) -> list[Listening]:
    try:
        return sockdiag.listeners(port, family)
    except OSError:  # no such kernel module, or a sandbox around us: slowly then
        return table_listeners(port, family)


def table_listeners(port: int, family: socket.AddressFamily = socket.AF_INET) -> list[Listening]:
    """The same as `sockdiag.listeners`, from the kernel's table of all connections: milliseconds."""
    table = PROC / ("net/tcp6" if family == socket.AF_INET6 else "net/tcp")
    suffix = f":{port:04X}"
    rows = (line.split() for line in _lines(table))
    return [
        Listening(_address(row[1]), int(row[9]), int(row[7]))
        for row in rows
        if row[1].endswith(suffix) and row[3] == _LISTEN
    ]


def _address(local: str) -> bytes:
    """`0100007F:1F90`, words in the machine's own order, as `inet_pton` makes it."""
    raw = bytes.fromhex(local.partition(":")[0])
    words = struct.unpack(f">{len(raw) // 4}I", raw)
    return struct.pack(f"={len(words)}I", *words)


def holds(pid: int, found: Listening) -> bool:
    """Whether process `pid`, or its user where he is none of ours, holds the socket: what an instance with a user of
    its own has open is not for us to see, but the kernel says who made it. Raises OSError as `owns` does."""
    return owns(pid, found.inode) or (found.user != os.geteuid() and found.user == user_of(pid))


def owns(pid: int, inode: int) -> bool:
    """Whether process `pid` holds the socket; False when that is not for us to see. Raises OSError where no descriptors
    are left to look with, as all that asks for listeners does."""
    wanted = f"socket:[{inode}]"
    folder = PROC / str(pid) / "fd"
    try:
        entries = list(folder.iterdir())
    except OSError as error:
        if out_of_descriptors(error):
            raise
        return False
    return any(_link(entry) == wanted for entry in entries)


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""
