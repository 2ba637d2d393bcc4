"""The disk below a directory: which it is, how large, what was written to it. Asks /sys and /proc only."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec import Struct

SECTOR_BYTES = 512  # of /proc/diskstats and /sys/block/*/size, whatever the disk's own are


class Device(Struct, frozen=True):
    """A whole disk. `card`: an SD card or soldered flash (eMMC), which wear out; `written_bytes` since the boot."""

    name: str
    card: bool
    size_bytes: int
    written_bytes: int


def device_of(path: Path, sys: Path = Path("/sys")) -> Device | None:
    """The disk that holds `path`; None where there is none that the kernel knows (memory, network, layers)."""
    try:
        number = path.stat().st_dev
        place = (sys / f"dev/block/{os.major(number)}:{os.minor(number)}").resolve(strict=True)
        if (place / "partition").exists():
            place = place.parent
        written = int((place / "stat").read_text().split()[6])
        size = int((place / "size").read_text())
    except (OSError, ValueError, IndexError):
        return None
    return Device(place.name, place.name.startswith("mmcblk"), size * SECTOR_BYTES, written * SECTOR_BYTES)
