"""File systems of a few megabytes that can be filled, shut and mended. Mounting takes root."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system, which takes root")


@contextlib.contextmanager
def tmpfs(directory: Path, *, size: str, inodes: int = 0) -> Iterator[Path]:
    """A file system in memory at `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    options = f"size={size}" + (f",nr_inodes={inodes}" if inodes else "")
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(directory)], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", str(directory)], check=True)


@contextlib.contextmanager
def ext4(directory: Path, image: Path, *, size_mb: int) -> Iterator[Path]:
    """A real file system on a loop device; skips the test where there is none."""
    if shutil.which("mkfs.ext4") is None or not Path("/dev/loop-control").exists():
        pytest.skip("needs mkfs.ext4 and a loop device")
    directory.mkdir(parents=True, exist_ok=True)
    with image.open("wb") as file:
        file.truncate(size_mb * 2**20)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    mounted = subprocess.run(
        ["mount", "-o", "loop,errors=remount-ro", str(image), str(directory)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"no loop device: {mounted.stderr.strip()}")
    try:
        yield directory
    finally:
        subprocess.run(["umount", str(directory)], check=True)


def remount(directory: Path, how: str) -> None:
    """`ro` or `rw`; nobody may hold a file open for writing."""
    subprocess.run(["mount", "-o", f"remount,{how}", str(directory)], check=True)


@contextlib.contextmanager
def immutable(file: Path) -> Iterator[None]:
    """Nobody, not even root, may change the file meanwhile; skips the test where that can't be had."""
    if subprocess.run(["chattr", "+i", str(file)], capture_output=True).returncode:
        pytest.skip("this file system knows no immutable files")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", str(file)], check=True)


def shut(directory: Path) -> None:
    """Have the kernel find an error in the file system, as it does with a failing card: it takes no write any more."""
    device = next(line.split()[0] for line in Path("/proc/mounts").read_text().splitlines() if f" {directory} " in line)
    trigger = Path("/sys/fs/ext4") / Path(device).name / "trigger_fs_error"
    if not trigger.exists():
        pytest.skip("this kernel can't be told to find an error")
    trigger.write_text("x")


def fill(file: Path) -> None:
    """Write until there is no byte left."""
    with file.open("wb", buffering=0) as target:
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while target.write(bytes(size)):
                    pass
