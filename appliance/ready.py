"""The note that an appliance is ready. It names the process exactly: pids repeat after a power cut."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from appliance.config import Home
from appliance.system.files import write_atomic
from appliance.system.pidfd import identify


def mark(home: Home) -> None:
    """This process is ready. Raises OSError."""
    write_atomic(_file(home), msgspec.json.encode(identify(os.getpid())))


def clear(home: Home) -> None:
    """Nobody is ready. Raises OSError."""
    _file(home).unlink(missing_ok=True)


def is_ready(home: Home, pid: int) -> bool:
    """Whether the process that has this pid now said so."""
    try:
        noted = _file(home).read_bytes()
    except OSError:
        return False
    return noted == msgspec.json.encode(identify(pid))


def _file(home: Home) -> Path:
    return home.run / "ready"
