"""What this kernel and its system can enforce and tell: memory limits, file descriptors, failed units, name servers."""

from __future__ import annotations

import resource
import secrets
import socket
import struct
import subprocess
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from msgspec import Struct

PROC = Path("/proc")
SYS = Path("/sys")
ETC = Path("/etc")
BOOT = Path("/boot")
SYSTEMCTL_S = 10.0
ASKED_SERVERS = 3
NAME_SERVER_S = 3.0


class Descriptors(Struct, frozen=True):
    """Open files: of the whole machine, and of this process."""

    open: int
    most: int
    own: int
    own_most: int


def descriptors() -> Descriptors:
    """Raises OSError where /proc does not tell."""
    used, free, most = (int(word) for word in (PROC / "sys/fs/file-nr").read_text().split()[:3])
    own = sum(1 for _ in (PROC / "self/fd").iterdir())
    return Descriptors(used - free, most, own, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def limits_memory() -> bool:
    """Whether the kernel can limit the memory of units: the memory controller is there and not switched off."""
    try:
        return "memory" in (SYS / "fs/cgroup/cgroup.controllers").read_text().split()
    except OSError:
        pass
    try:
        rows = [line.split() for line in (PROC / "cgroups").read_text().splitlines()]
    except OSError:
        return False
    return any(row[0] == "memory" and row[3] == "1" for row in rows if len(row) == 4)


def command_line_file() -> Path | None:
    """Where a Raspberry Pi's kernel command line is written; None on other machines."""
    return next((file for file in (BOOT / "firmware/cmdline.txt", BOOT / "cmdline.txt") if file.exists()), None)


def failed_units(pattern: str = "weir*") -> list[str]:
    """Names of units that failed; none where systemd does not run. Blocks for a moment. Raises OSError."""
    return [row[0] for row in _listed("--state=failed", pattern)]


def units(pattern: str = "weir*") -> list[tuple[str, str, str]]:
    """Units that systemd has loaded: name, active and sub state. As `failed_units` otherwise."""
    return [(row[0], row[2], row[3]) for row in _listed("--all", pattern) if len(row) > 3]


def _listed(*what: str) -> list[list[str]]:
    if not Path("/run/systemd/system").is_dir():
        return []
    command = ["systemctl", "list-units", "--plain", "--no-legend", "--no-pager", *what]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SYSTEMCTL_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(f"systemctl did not answer within {SYSTEMCTL_S:.0f} s") from error
    return [line.split() for line in done.stdout.splitlines() if line.strip()]


def name_servers() -> list[str]:
    """Addresses of /etc/resolv.conf, in its order; a box that is not on a network has none."""
    try:
        rows = [line.split() for line in (ETC / "resolv.conf").read_text(errors="replace").splitlines()]
    except OSError:
        return []
    return [row[1] for row in rows if len(row) > 1 and row[0] == "nameserver"][:ASKED_SERVERS]


def has_route() -> bool:
    """Whether there is a way to other networks."""
    try:
        rows = [line.split() for line in (PROC / "net/route").read_text().splitlines()[1:]]
        six = [line.split() for line in (PROC / "net/ipv6_route").read_text().splitlines()]
    except OSError:
        return True
    way = any(len(row) > 7 and row[1] == row[7] == "00000000" for row in rows)
    return way or any(len(row) > 9 and row[0] == "0" * 32 and row[1] == "00" and row[9] != "lo" for row in six)


def answers(servers: Iterable[str], port: int = 53) -> bool:
    """Whether one of these name servers answers anything at all, also a refusal. Blocks for seconds."""
    return any(_answers(server, port) for server in servers)


def _answers(server: str, port: int) -> bool:
    """Asked for the root's name servers: every resolver knows them, and nobody learns what this box looks for."""
    number = secrets.randbits(16)
    question = struct.pack(">HHHHHHBHH", number, 0x0100, 1, 0, 0, 0, 0, 2, 1)
    try:
        family, kind, _, _, where = socket.getaddrinfo(server, port, type=socket.SOCK_DGRAM)[0]
        with closing(socket.socket(family, kind)) as door:
            door.settimeout(NAME_SERVER_S)
            door.connect(where)
            door.send(question)
            return door.recv(2048)[:2] == question[:2]
    except OSError:
        return False
