"""Listening sockets by port, asked of the kernel by sock_diag(7).

`/proc/net/tcp` says the same, but the kernel walks its table of all connections for it, whose size goes with the
memory of the machine: six milliseconds a read on a box with 24 GB. Here it looks at listeners alone.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import NamedTuple

_SOCK_DIAG = 4  # NETLINK_SOCK_DIAG
_BY_FAMILY = 20  # SOCK_DIAG_BY_FAMILY
_ERROR, _DONE = 2, 3  # NLMSG_ERROR, NLMSG_DONE
_REQUEST_DUMP = 0x001 | 0x300  # NLM_F_REQUEST | NLM_F_DUMP
_LISTEN = 1 << 10  # TCP_LISTEN
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_ASK = struct.Struct("=BBBxI")  # struct inet_diag_req_v2 up to its id
_ID = struct.Struct("!HH16s16s")  # struct inet_diag_sockid: ports and addresses; what follows is left zero
_REST = bytes(12)
_ADDRESS_AT, _USER_AT, _INODE_AT = 4 + 4, 4 + 48 + 12, 4 + 48 + 16  # in struct inet_diag_msg
_ANSWER_BYTES = 1 << 16
_DEADLINE_S = 2.0


class Listening(NamedTuple):
    """A socket that listens: its address as `inet_pton` makes it, and the user who made it."""

    address: bytes
    inode: int
    user: int


def listeners(port: int, family: socket.AddressFamily = socket.AF_INET) -> list[Listening]:
    """Every TCP socket of `family` that listens on `port`.

    Raises OSError where the kernel has no sock_diag, a sandbox forbids it, or the answer was cut.
    """
    body = _ASK.pack(family, socket.IPPROTO_TCP, 0, _LISTEN) + _ID.pack(port, 0, b"", b"") + _REST
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _SOCK_DIAG) as asked:
        asked.settimeout(_DEADLINE_S)
        asked.sendto(_HEADER.pack(_HEADER.size + len(body), _BY_FAMILY, _REQUEST_DUMP, 1, 0) + body, (0, 0))
        found: list[Listening] = []
        while not _read(asked.recv(_ANSWER_BYTES), port, 16 if family == socket.AF_INET6 else 4, found):
            pass
        return found


def _read(answer: bytes, port: int, width: int, found: list[Listening]) -> bool:
    """Add the sockets of one answer; whether it was the last one."""
    at = 0
    while at + _HEADER.size <= len(answer):
        length, kind, *_ = _HEADER.unpack_from(answer, at)
        if kind == _DONE:
            return True
        if kind == _ERROR:
            number = -int(struct.unpack_from("=i", answer, at + _HEADER.size)[0])
            raise OSError(number, f"sock_diag: {os.strerror(number)}")
        if not _HEADER.size + _INODE_AT + 4 <= length <= len(answer) - at:
            raise OSError("sock_diag: an answer was cut")
        message = answer[at + _HEADER.size : at + length]
        if int.from_bytes(message[4:6], "big") == port:  # older kernels don't filter
            address = message[_ADDRESS_AT : _ADDRESS_AT + width]
            user, inode = struct.unpack_from("=II", message, _USER_AT)
            found.append(Listening(address, inode, user))
        at += (length + 3) & ~3
    return False
