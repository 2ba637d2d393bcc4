"""The files of an instance that has no launcher, where each has a user of its own: a unit of systemd runs as that user
for as long as it takes to give them (`weir-files@.service`, `launcher.offer`)."""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from appliance.drivers.boot_socket import unit_of_process
from appliance.errors import Unavailable
from appliance.system.units import Systemctl, UnitsUnavailable

PREFIX = "weir-files"
COME_S = 30.0  # a slow box starts Python meanwhile
SILENCE_S = 60.0
STOP_S = 15.0
_PEER = struct.Struct("3i")  # struct ucred: pid, uid, gid

log = logging.getLogger(__name__)

UnitOf = Callable[[int, str], str | None]
"""The instance part of the unit `PREFIX@….service` that a process is in (`unit_of_process`)."""


@contextmanager
def files_of(
    name: str,
    run: Path,
    *,
    packages: bool,
    systemctl: Systemctl | None = None,
    unit_of: UnitOf = unit_of_process,
    come_s: float = COME_S,
) -> Iterator[IO[bytes]]:
    """The tar of `launcher.pack` of the instance whose short name is `name`. `run`: where a socket can be made for it.
    Blocks. Raises Unavailable, ConnectionError, TimeoutError."""
    systemd, unit = systemctl or Systemctl(), f"{PREFIX}@{name}.service"
    with _door(run / f"files-{name}.sock") as door:
        try:
            systemd.start(unit)
            with _come(door, name, unit_of, come_s) as asked, asked.makefile("rb") as stream:
                asked.sendall(b"packages\n" if packages else b"\n")
                yield stream
        except UnitsUnavailable as error:
            raise Unavailable(f"{unit} can't be started: {error}") from error
        finally:
            with contextlib.suppress(UnitsUnavailable):  # it ends by itself when nobody listens
                systemd.stop(unit, STOP_S)


@contextmanager
def _door(path: Path) -> Iterator[socket.socket]:
    """A socket that every user may knock at: this one's comes and goes, and the kernel says who came."""
    with socket.socket(socket.AF_UNIX) as door:
        try:
            path.unlink(missing_ok=True)  # of a backup that was killed: there is one at a time
            door.bind(str(path))
            path.chmod(0o666)
            door.listen(4)
        except OSError as error:
            raise Unavailable(f"{path} can't be made: {error.strerror or error}") from error
        try:
            yield door
        finally:
            path.unlink(missing_ok=True)


def _come(door: socket.socket, name: str, unit_of: UnitOf, come_s: float) -> socket.socket:
    """The connection of the unit's own process: flows may knock as well."""
    end = time.monotonic() + come_s
    while (left := end - time.monotonic()) > 0:
        door.settimeout(left)
        try:
            asked, _ = door.accept()
        except TimeoutError:
            break
        pid, uid, _ = _PEER.unpack(asked.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
        if unit_of(pid, PREFIX) == name:
            asked.settimeout(SILENCE_S)
            return asked
        asked.close()
        log.warning("process %d of user %d brought files that nobody asked it for", pid, uid)
    raise Unavailable(f"it did not come within {come_s:g} s; see: journalctl -u {PREFIX}@{name}.service")
