"""A program of its own: the files of an instance as a tar on standard output, for a backup.

    python -m launcher.pack DIRECTORY [--packages]

Runs as the instance's user, so what it may read is what the instance may. Links are told, never followed; what is no
file, directory or link is left out. `node_modules` is left out too unless `--packages` is there: it can be installed
again from package.json. Of the launcher's own state only a deploy that waits for the appliance goes along.
The last member, `.weir-pack.json`, is `{"changed": […], "missing": [[path, why], …]}`: files that were written while
they were read, and those that could not be.
"""

from __future__ import annotations

import io
import json
import os
import re
import stat
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

END = ".weir-pack.json"
_SMALL_BYTES = 1024 * 1024  # read as a whole, and again when it changed meanwhile
_TRIES = 3
_KEPT = "launcher/away/deploy.json"
_LEFT_OUT = frozenset({"launcher", "placement.json", "settings.js", ".npm", ".cache", ".node-gyp"})
_TEMPORARY = re.compile(r".+\.(\d{1,10})(\.\d{1,10})?\.tmp")  # see launcher.files


class Packer:
    """Writes one directory to one stream."""

    def __init__(self, root: Path, target: BinaryIO, *, packages: bool) -> None:
        self._root = root
        self._target = target
        self._left_out = _LEFT_OUT if packages else _LEFT_OUT | {"node_modules"}
        self._changed: list[str] = []
        self._missing: list[tuple[str, str]] = []

    def run(self) -> None:
        """Raises OSError when the stream can't be written or the directory is not there."""
        with tarfile.open(fileobj=self._target, mode="w|", format=tarfile.GNU_FORMAT) as tar:
            for path in self._paths():
                tar.members.clear()  # type: ignore[attr-defined]  # tarfile remembers every file it has written
                self._add(tar, path)
            words = {"changed": self._changed[:1000], "missing": self._missing[:1000]}
            self._write(tar, _member(END, 0o600), json.dumps(words).encode())

    def _paths(self) -> Iterator[str]:
        """Below the root, parents before what is in them, the same order each time."""
        names = sorted(name for name in os.listdir(self._root) if name not in self._left_out)  # noqa: PTH208 - names
        waiting = names[::-1]
        while waiting:
            path = waiting.pop()
            if not _TEMPORARY.fullmatch(path.rpartition("/")[2]):
                yield path
                waiting += [f"{path}/{name}" for name in reversed(self._below(path))]
        if (self._root / _KEPT).is_file():
            yield _KEPT

    def _below(self, path: str) -> list[str]:
        full = self._root / path
        if full.is_symlink() or not full.is_dir():
            return []
        try:
            return sorted(os.listdir(full))  # noqa: PTH208 - names are all that is wanted
        except OSError as error:
            self._missing.append((path, error.strerror or "unreadable"))
            return []

    def _add(self, tar: tarfile.TarFile, path: str) -> None:
        try:
            path.encode("utf-8")
            seen = os.lstat(self._root / path)
            member = _member(path, stat.S_IMODE(seen.st_mode) & 0o777, seen.st_mtime)
            if stat.S_ISLNK(seen.st_mode):
                member.type, member.linkname = tarfile.SYMTYPE, os.readlink(self._root / path)  # noqa: PTH115
                member.linkname.encode("utf-8")
                tar.addfile(member)
            elif stat.S_ISDIR(seen.st_mode):
                member.type = tarfile.DIRTYPE
                tar.addfile(member)
            elif stat.S_ISREG(seen.st_mode):
                self._add_file(tar, member)
        except UnicodeEncodeError:
            self._missing.append((os.fsencode(path).decode("utf-8", "backslashreplace"), "its name is no UTF-8"))

    def _add_file(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        try:
            file = _open(self._root / member.name)
        except OSError as error:
            self._missing.append((member.name, error.strerror or "unreadable"))
            return
        with file:
            small = self._whole(file, member.name)
            if small is not None:
                self._write(tar, member, small)
            else:
                self._stream(tar, member, file)

    def _whole(self, file: BinaryIO, name: str) -> bytes | None:
        """The content as it was at one moment; None for a large one."""
        for _ in range(_TRIES):
            before = os.fstat(file.fileno())
            if before.st_size > _SMALL_BYTES:
                return None
            file.seek(0)
            content = file.read(_SMALL_BYTES + 1)
            after = os.fstat(file.fileno())
            if (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, len(content)):
                return content
        self._changed.append(name)
        return content[:_SMALL_BYTES]

    def _stream(self, tar: tarfile.TarFile, member: tarfile.TarInfo, file: BinaryIO) -> None:
        """As many bytes as it had at the beginning; zeros for those that are gone meanwhile."""
        before = os.fstat(file.fileno())
        member.size = before.st_size
        file.seek(0)
        tar.addfile(member, _Exactly(file, member.size))  # type: ignore[arg-type]  # read() is all that is used
        after = os.fstat(file.fileno())
        if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size):
            self._changed.append(member.name)

    @staticmethod
    def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, content: bytes) -> None:
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))


class _Exactly:
    """Reads as many bytes as were announced, whatever becomes of the file."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._left = size

    def read(self, count: int) -> bytes:
        wanted = min(count, self._left)
        content = self._file.read(wanted)
        while len(content) < wanted:  # tarfile takes a short answer for the end
            content += self._file.read(wanted - len(content)) or b"\0" * (wanted - len(content))
        self._left -= len(content)
        return content


def _member(name: str, mode: int, mtime: float = 0) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.mode, member.mtime = mode, int(max(0, mtime))
    return member


def _open(path: Path) -> BinaryIO:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError("not a plain file any more")
    return open(fd, "rb", buffering=0)  # noqa: PTH123, SIM115 - a descriptor, no path; the caller closes it


def main() -> int:
    """0 done, 1 the directory can't be read or nobody takes the stream."""
    directory = Path(sys.argv[1])
    os.nice(10)  # instances come first
    try:
        Packer(directory, sys.stdout.buffer, packages="--packages" in sys.argv[2:]).run()
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except OSError as error:
        sys.stderr.write(f"{directory}: {error.strerror or error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
