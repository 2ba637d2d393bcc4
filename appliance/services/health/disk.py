"""Disks: nearly full, full, out of inodes, read-only."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Sequence
from pathlib import Path

from appliance.config import Home
from appliance.services.health.trouble import Trouble
from appliance.system.vitals import Disk, disks

MIB = 2**20
FULL_BYTES = MIB
LOW_BYTES = 500 * MIB
LOW_FRACTION = 0.05
LOW_AT_MOST_BYTES = 5 * 2**30  # five per cent of a large disk are no shortage
INODES_FRACTION = 0.02
WELL = 1.1  # what was low is well again with a tenth more


def paths(home: Home) -> tuple[Path, ...]:
    """The directories of a box that may lie on file systems of their own; the first names the box's."""
    return (home.root, home.state, home.instances, home.logs, home.stacks)


def measured(home: Home) -> list[Disk]:
    """The file systems of the box. Blocks. Raises OSError."""
    return disks(paths(home))


class Disks:
    """Remembers what was low, so that a value at the limit does not come and go."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def take(self, found: Sequence[Disk]) -> list[Trouble]:
        """All troubles with disks after this reading."""
        troubles = judge(found, self._known)
        self._known = {trouble.key for trouble in troubles}
        return troubles


class WriteProbe:
    """Makes and removes an empty file: a kernel that has shut a failing file system says so nowhere else."""

    name = "writing"
    every_s = 60.0
    quick = False

    def __init__(self, directory: Path) -> None:
        self._file = directory / ".probe"

    async def look(self) -> Sequence[Trouble]:
        said = await asyncio.to_thread(self._refusal)
        return [_shut(self._file.parent, said)] if said else []

    def _refusal(self) -> str:
        try:
            os.close(os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        except OSError as error:
            # A full disk has a problem of its own.
            return "" if error.errno in (errno.ENOSPC, errno.EDQUOT) else str(error.strerror)
        with contextlib.suppress(OSError):
            self._file.unlink()
        return ""


def judge(found: Sequence[Disk], known: set[str] | frozenset[str] = frozenset()) -> list[Trouble]:
    """Pure. `known` are the keys of the troubles there were, which need a little more than the limit to go."""
    troubles = []
    for number, disk in enumerate(found):
        suffix = f":{disk.path}" if number else ""
        troubles += [each for each in (_room(disk, suffix, known), _inodes(disk, suffix, known)) if each is not None]
        if disk.read_only and disk.total_bytes:
            troubles.append(_read_only(disk, suffix))
    return troubles


def _room(disk: Disk, suffix: str, known: set[str] | frozenset[str]) -> Trouble | None:
    if disk.read_only:
        return None
    evidence = f"{disk.free_bytes // MIB} MiB of {disk.total_bytes // MIB} MiB are free"
    if disk.free_bytes < FULL_BYTES:
        return Trouble(
            f"disk_full{suffix}",
            "The disk is full",
            f"The disk that holds {disk.path} has no space left. Instances run on, but no deploy and no log is kept.",
            evidence,
            _where_to_look(disk),
        )
    limit = max(LOW_BYTES, min(disk.total_bytes * LOW_FRACTION, LOW_AT_MOST_BYTES))
    limit = min(limit, disk.total_bytes)  # a disk of 100 MB that is empty has all it can have, and yet too little
    key = f"disk_low{suffix}"
    if disk.free_bytes >= limit * (WELL if key in known else 1):
        return None
    return Trouble(
        key,
        "The disk is nearly full",
        f"The disk that holds {disk.path} has little space left; when it is full, no deploy can be kept.",
        evidence,
        _where_to_look(disk),
    )


def _inodes(disk: Disk, suffix: str, known: set[str] | frozenset[str]) -> Trouble | None:
    key = f"disk_inodes{suffix}"
    fraction = INODES_FRACTION * (WELL if key in known else 1)
    if disk.files == 0 or disk.files_free >= disk.files * fraction:
        return None
    return Trouble(
        key,
        "The disk can hold hardly any more files",
        f"The file system of {disk.path} counts its files, and the count is nearly used up, whatever space is left.",
        f"{disk.files_free} of {disk.files} inodes are free",
        f"Remove what has many small files: du --inodes -x -d 2 {disk.path} | sort -n | tail",
    )


def _read_only(disk: Disk, suffix: str) -> Trouble:
    return Trouble(
        f"disk_read_only{suffix}",
        "The disk is read-only",
        f"The file system that holds {disk.path} takes no writes. Instances run on, but nothing can be changed.",
        f"{disk.path} is mounted read-only",
        "A failing disk or card is switched to read-only by the kernel: look at dmesg, make a backup, then "
        f"mount -o remount,rw {disk.path} or replace the disk.",
    )


def _shut(directory: Path, said: str) -> Trouble:
    return Trouble(
        "disk_not_writable",
        "Weir can't write to its disk",
        f"No file can be made in {directory}. Instances run on; deploys, settings and logs are refused.",
        f"the kernel says: {said}",
        "A failing disk or card is shut by the kernel: look at dmesg, make a backup, replace it or check it "
        f"(fsck) and start the machine again. If only the rights are wrong: ls -ld {directory}; lsattr -d {directory}",
    )


def _where_to_look(disk: Disk) -> str:
    return f"Free some space; this shows what is large: du -xh -d 2 {disk.path} | sort -h | tail"
