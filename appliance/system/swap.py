"""Puts new directories and files in the places of old ones, all or none, whatever happens to the power.

What is new is complete and on the disk before it begins. A journal says what is to be moved; from the moment that it
is written the swap goes forward, by whoever comes next (`recover`); before that moment nothing has changed.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec
from msgspec import Struct

from appliance.system.files import make_private_dir, remove_all, sync_directory, write_atomic

_JOURNAL = "journal.json"
_BEGUN = ".restore"


class Move(Struct, frozen=True):
    """`new` takes the place of `target`, which goes to `old`. All three are on one file system."""

    new: str
    target: str
    old: str


class Journal(Struct, frozen=True):
    """What is to be done: `moves` in this order, then `drop` is removed."""

    moves: list[Move]
    drop: list[str]


def staging(directory: Path) -> Path:
    """An empty directory below `directory` to make ready what is new. Raises OSError."""
    begun = directory / _BEGUN
    if not (begun / _JOURNAL).exists():
        remove_all(begun)
    return make_private_dir(begun)


def swap(directory: Path, moves: list[Move], *, drop: list[Path]) -> None:
    """Do it. What `moves` names as new is synced first. Raises OSError: then nothing has changed, or the swap is to be
    brought to its end by `recover`."""
    os.sync()  # files of new trees by the thousand: one call instead of one for each
    for move in moves:
        Path(move.old).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    journal = Journal(moves, [str(path) for path in drop])
    write_atomic(directory / _BEGUN / _JOURNAL, msgspec.json.encode(journal), 0o600)
    sync_directory(directory)
    recover(directory)


def recover(directory: Path) -> bool:
    """Bring a swap that was begun to its end, or clear away one that was not; whether there was one to bring to its
    end. May be called at any time by the only user of `directory`. Raises OSError, ValueError for a broken journal."""
    begun = directory / _BEGUN
    try:
        journal = msgspec.json.decode((begun / _JOURNAL).read_bytes(), type=Journal)
    except FileNotFoundError:
        remove_all(begun)
        return False
    touched: set[Path] = set()
    for move in journal.moves:
        _move(move)
        touched |= {Path(path).parent for path in (move.new, move.target, move.old)}
    for parent in touched:
        with contextlib.suppress(FileNotFoundError):
            sync_directory(parent)
    (begun / _JOURNAL).unlink()
    sync_directory(begun)
    for path in (*map(Path, journal.drop), begun):
        remove_all(path)
    return True


def _move(move: Move) -> None:
    """Each step is told by what is there, so that it may be repeated."""
    new, target, old = Path(move.new), Path(move.target), Path(move.old)
    if not _there(new):
        return  # done before
    if _there(target):
        target.rename(old)
    new.rename(target)


def _there(path: Path) -> bool:
    return path.exists() or path.is_symlink()
