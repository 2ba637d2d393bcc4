"""The end of a log that lies in memory, kept on the disk: it is there after a reboot, and after the launcher's end.

It is written when Node-RED has ended by itself and when the launcher ends in order, not with every line: that is what
memory is for. What a power cut or a kill of the launcher takes with it are the lines since; those of a crash are with
the appliance as well.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path

from launcher.files import open_regular, read_regular, write_atomic

KEPT_BYTES = 256 * 1024
_LINE = re.compile(rb'\{"ts":"(\d{17})".*\}')


def keep(path: Path, bodies: Sequence[bytes]) -> None:
    """Replace what is kept by the newest of these entries, oldest first. Raises OSError."""
    room, first = KEPT_BYTES, len(bodies)
    while first and room > len(bodies[first - 1]):
        first -= 1
        room -= len(bodies[first]) + 1
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomic(path, b"".join(body + b"\n" for body in bodies[first:]))


def bring_back(path: Path, directory: Path, older: Path | None = None) -> None:
    """Put what is kept at `path` behind what `directory` holds, as a segment of it; without any, the end of the newest
    segment in `older`, where the log lay before. What a flow has spoiled is left out. Never fails."""
    with contextlib.suppress(OSError):
        content = read_regular(path, KEPT_BYTES)
        if content is None and older is not None:
            content = _end_of(_newest(older))
        after = max((int(stamp) for stamp, _ in _lines(_end_of(_newest(directory)))), default=0)
        lines = [(stamp, line) for stamp, line in _lines(content or b"") if int(stamp) > after]
        if lines:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomic(directory / f"{lines[0][0]}.ndjson", b"".join(line + b"\n" for _, line in lines))


def drop_old(directory: Path, age_s: float) -> None:
    """Remove segments that nobody writes any more and that are older than `age_s`. Never fails."""
    with contextlib.suppress(OSError):
        for path in list(directory.glob("*.ndjson")):
            if path.lstat().st_mtime < time.time() - age_s:
                path.unlink()


def _newest(directory: Path) -> Path | None:
    return max(directory.glob("*.ndjson"), key=lambda path: path.name, default=None)


def _end_of(path: Path | None) -> bytes:
    """Raises OSError."""
    if path is None:
        return b""
    with open_regular(path) as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - KEPT_BYTES))
        return file.read(KEPT_BYTES)


def _lines(content: bytes) -> list[tuple[str, bytes]]:
    """Whole entries with their stamps, in growing order; anything else is passed over."""
    found: list[tuple[str, bytes]] = []
    for line in content.split(b"\n"):
        if (match := _LINE.fullmatch(line)) and (not found or match[1].decode() > found[-1][0]):
            found.append((match[1].decode(), line))
    return found
