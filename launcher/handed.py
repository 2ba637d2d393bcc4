"""A program of its own: takes the files of a restored instance from the appliance and puts them in their places.

    python -m launcher.handed DIRECTORY URL

Standard input is a socket: a byte from us when no other process of our user can look into us, then the token's line.

They are unpacked beside what is there, and then take the places of what has the same name, which is kept in
`launcher/before-restore-…`, but for installed modules. A power cut at any line is made good by doing it once more:
until the appliance has heard that they are in place, it offers them again.
"""

from __future__ import annotations

import ctypes
import http.client
import os
import re
import shutil
import socket
import sys
import tarfile
from pathlib import Path
from urllib.parse import urlsplit

_STAGE = "handed"  # below the launcher's own directory
_END = ".weir-pack.json"  # see launcher.pack
_KEPT = "launcher"  # of this, only what is in `away`
_BEFORE = "before-restore-"  # and a word for the archive, the same when it is taken once more
_MADE_AGAIN = "node_modules"  # by any start
TIMEOUT_S = 60.0
_TOKEN_BYTES = 4096
_PR_SET_DUMPABLE = 4


class Broken(Exception):
    """What came is no whole archive, or has names that leave the directory."""


def take(directory: Path, url: str, token: str) -> None:
    """Raises Broken, OSError, HTTPException."""
    own = directory / "launcher"
    own.mkdir(mode=0o700, exist_ok=True)
    stage = own / _STAGE
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(mode=0o700)
    try:
        word = _fetch(url, token, stage)
        _place(stage, directory, own, own / f"{_BEFORE}{word}")
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _place(stage: Path, directory: Path, own: Path, before: Path) -> None:
    os.sync()  # thousands of files at once: one call instead of one for each
    for path in sorted(stage.iterdir()):
        if path.name != _KEPT:
            _keep(directory / path.name, before / path.name)
            _put(path, directory / path.name)
    for path in sorted((stage / _KEPT / "away").glob("*")):
        (own / "away").mkdir(mode=0o700, exist_ok=True)
        _put(path, own / "away" / path.name)
    os.sync()


def _fetch(url: str, token: str, stage: Path) -> str:
    """A word for what was fetched."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=TIMEOUT_S)
    try:
        connection.request("GET", parts.path, headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise Broken(f"the appliance answered {answer.status}")
        with tarfile.open(fileobj=answer, mode="r|") as tar:
            _unpack(tar, stage)
        return re.sub(r"[^0-9a-f-]", "", answer.getheader("ETag", ""))[:60]
    except tarfile.TarError as error:
        raise Broken(f"the archive is damaged: {error}") from error
    finally:
        connection.close()


def _unpack(tar: tarfile.TarFile, stage: Path) -> None:
    links: list[tuple[Path, str]] = []
    modes: list[tuple[Path, int]] = []
    whole = False
    while (member := tar.next()) is not None:
        tar.members.clear()  # type: ignore[attr-defined]  # tarfile remembers every file it has seen
        if member.name == _END:
            whole = True
            continue
        target = stage / _checked(member.name)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if member.isdir():
            target.mkdir(mode=0o700, exist_ok=True)
            modes.append((target, member.mode))
        elif member.issym():
            links.append((target, member.linkname))
        elif member.isreg() and (file := tar.extractfile(member)) is not None:
            with target.open("xb") as out:
                shutil.copyfileobj(file, out)
            target.chmod(member.mode & 0o777 | 0o600)
            os.utime(target, (member.mtime, member.mtime))
    if not whole:
        raise Broken("the archive came to a sudden end")
    for target, to in links:  # last: nothing is written through one
        target.symlink_to(to)
    for target, mode in reversed(modes):
        target.chmod(mode & 0o777 | 0o700)


def _checked(name: str) -> str:
    if not name or {"", ".", ".."} & set(name.split("/")):
        raise Broken(f"{name[:80]!r} is no name of a file in it")
    return name


def _keep(target: Path, before: Path) -> None:
    """What the box had until now is somebody's work as well. What was kept by an attempt that was cut off stays."""
    if target.name == _MADE_AGAIN or not os.path.lexists(target) or os.path.lexists(before):
        return
    before.parent.mkdir(mode=0o700, exist_ok=True)
    target.rename(before)


def _put(new: Path, target: Path) -> None:
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    new.replace(target)


def _token() -> str:
    """Flows have our user; none of them may read it from our memory. Raises OSError, Broken."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE) failed")
    with socket.socket(fileno=os.dup(0)) as asked, asked.makefile("rb") as told:
        asked.sendall(b"\n")
        if not (token := told.readline(_TOKEN_BYTES).decode().strip()):
            raise Broken("nobody gave a token")
        return token


def main() -> int:
    """0 done, 1 not, with the reason on standard output."""
    os.nice(10)
    try:
        take(Path(sys.argv[1]), sys.argv[2], _token())
    except (Broken, OSError, http.client.HTTPException) as error:
        sys.stdout.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
