"""What this machine has to give, read without psutil so that every part may ask cheaply."""

from __future__ import annotations

import os
from pathlib import Path

MEMINFO = Path("/proc/meminfo")


def memory_available_bytes() -> int | None:
    """What can be handed out without swapping, as the kernel estimates it; None when it does not say."""
    try:
        lines = MEMINFO.read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) * 1024 if found else None


def cpus() -> int:
    """Processors this process may use; at least 1."""
    return max(1, len(os.sched_getaffinity(0)))
