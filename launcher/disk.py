"""What the instance takes of the disk, measured where it is allowed to look: in its own directory, as its user."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

TEMPORARY = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - private ones of the unit
_AT_ONCE = 200  # directories' entries between two looks at the clock of others
_LINKED = 200_000
# Says nothing of what a flow hides: it is asked again.
_PASSING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR, errno.EIO})


class Use(Struct, frozen=True):
    """`whole` is false when something could not be looked at, so that it is at least so much."""

    usedBytes: int
    whole: bool


async def use(directory: Path) -> Use:
    """Blocks that are taken below `directory`, and of the temporary directories where these are the unit's own. What
    its flows closed to themselves is opened again. Raises OSError when it can't be looked at now, for want of
    descriptors, say."""
    total, whole, steps = 0, True, 0
    linked = set[tuple[int, int]]()
    waiting = [os.fspath(directory), *(os.fspath(each) for each in TEMPORARY if _is_ours(each))]
    while waiting:
        try:
            entries = _entries(waiting.pop())
        except (FileNotFoundError, NotADirectoryError):
            continue  # removed meanwhile, or a file by now
        except OSError as error:
            if error.errno in _PASSING:
                raise
            whole = False
            continue
        for entry in entries:
            try:
                seen = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
            except OSError:
                continue
            if seen.st_nlink > 1 and not entry.is_dir(follow_symlinks=False):
                if (seen.st_dev, seen.st_ino) in linked:
                    continue
                if len(linked) < _LINKED:
                    linked.add((seen.st_dev, seen.st_ino))
            total += seen.st_blocks * 512
            if (steps := steps + 1) % _AT_ONCE == 0:
                await asyncio.sleep(0)
    return Use(total + _deleted(), whole)


def _entries(directory: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as found:
            return list(found)
    except PermissionError:
        os.chmod(directory, 0o700, follow_symlinks=True)  # noqa: PTH101
        with os.scandir(directory) as found:
            return list(found)


def _is_ours(directory: Path) -> bool:
    """A private one is on another place of the disk than the box's: its parent's device and the mount table tell."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text()
    except OSError:
        return False
    return any(line.split()[4] == str(directory) for line in mounts.splitlines())


def _deleted() -> int:
    """Files without a name that processes of ours hold open: they take room until they are closed."""
    seen = dict[tuple[int, int], int]()
    for path in _open_files():
        try:
            found = os.stat(path)  # noqa: PTH116
        except OSError:
            continue
        if found.st_nlink == 0 and found.st_blocks:
            seen[found.st_dev, found.st_ino] = found.st_blocks * 512
    return sum(seen.values())


def _open_files() -> Iterator[str]:
    own = os.getuid()
    for process in os.scandir("/proc"):
        try:
            if process.name.isdigit() and process.stat().st_uid == own:
                yield from (entry.path for entry in os.scandir(f"{process.path}/fd"))
        except OSError:
            continue
