"""A small file system of its own, to be filled to the last byte. As root an ext4 image; else a plain directory."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

SIZE = "600M"
KEEP = 1 << 20  # written in pieces of this size, then ever smaller


class Disk:
    """`root` is where it is mounted. Without root's rights it can't be filled: `small` says so."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "disk"
        self.root.mkdir(parents=True)
        self.small = os.geteuid() == 0
        if self.small:
            image = directory / "disk.img"
            _run("truncate", "-s", SIZE, str(image))
            # No blocks kept for root (-m 0): the box runs as root here and has to feel a full disk.
            _run("mkfs.ext4", "-q", "-F", "-m", "0", str(image))
            _run("mount", "-o", "loop", str(image), str(self.root))
        self._filler = self.root / "filler"

    def fill(self) -> None:
        """Until there is no byte left."""
        with self._filler.open("wb", buffering=0) as target:
            for size in (KEEP, 1 << 12, 1):
                try:
                    while target.write(bytes(size)):
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        self._filler.unlink(missing_ok=True)

    @property
    def full(self) -> bool:
        return self._filler.exists()

    def close(self) -> None:
        if self.small:
            _run("umount", str(self.root))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
