"""V8's compile cache of a stack, for an instance with a user of its own.

Node.js looks for the cache in a directory named after itself and the number of its user, so that nobody runs what
somebody else compiled. The stack's was made by Weir's account and can be written by nobody else, while an instance in a
unit has a user of its own: a quarter of the processor time of each start would go into compiling what is there.
"""

from __future__ import annotations

import re
from pathlib import Path

_OF_A_USER = re.compile(r"(v[^-]+-[^-]+-[0-9a-f]+)-(\d+)")


def usable(cache: str, own: Path, user: int) -> str:
    """What to name as NODE_COMPILE_CACHE: `cache` itself where `user` finds something in it, else the directory
    `own`/compile-cache, whose links lead there under that user's number. Only slower where that can't be made."""
    try:
        parts = [found for entry in Path(cache).iterdir() if (found := _OF_A_USER.fullmatch(entry.name))]
        if not parts or any(int(part[2]) == user for part in parts):
            return cache
        links = own / "compile-cache"
        links.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make(links, {f"{part[1]}-{user}": str(Path(cache, part[0])) for part in parts})
    except OSError:
        return cache
    return str(links)


def _make(directory: Path, wanted: dict[str, str]) -> None:
    """These links and no others: those of another stack lead nowhere any more. Raises OSError."""
    for entry in list(directory.iterdir()):
        if entry.is_symlink() and wanted.get(entry.name) != str(entry.readlink()):
            entry.unlink()
    for name, target in wanted.items():
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(target)
