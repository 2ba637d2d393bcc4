"""Writes the content of a backup: files of the box and streams of its instances into one tar, each with its digest."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, BinaryIO

import msgspec

from appliance.backup.content import HEAD, INSTANCES, MANIFEST, Entry, Head, Lack, Manifest
from appliance.errors import Unavailable

_CHUNK_BYTES = 256 * 1024
_END = ".weir-pack.json"  # see launcher.pack
_END_BYTES = 16 * 1024 * 1024
_MOST_NAME = 4096

Advanced = Callable[[int], None]


class Content:
    """One tar being written. `advanced` is told of bytes as they go in; it may raise to end the work."""

    def __init__(self, target: BinaryIO, head: Head, advanced: Advanced) -> None:
        self._tar = tarfile.open(fileobj=target, mode="w|", format=tarfile.GNU_FORMAT)  # noqa: SIM115 - see `close`
        self._advanced = advanced
        self._files: list[Entry] = []
        self._lacks: list[Lack] = []
        self._write_small(HEAD, msgspec.json.encode(head))

    def add_file(self, path: Path, name: str) -> None:
        """A file of the box, as it is now; what may be missing is the caller's to know. Raises OSError."""
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as file:  # noqa: PTH123 - a descriptor, no path
            seen = os.fstat(fd)
            if not stat.S_ISREG(seen.st_mode):
                raise OSError(f"{path} is no plain file")
            member = _member(name, stat.S_IMODE(seen.st_mode) & 0o777, seen.st_mtime)
            member.size = seen.st_size
            self._add_bytes(member, file)

    def add_tree(self, root: Path, name: str, *, but: frozenset[str] = frozenset()) -> None:
        """A small directory of the box with what is in it; links and what is in `but` are left out. Raises OSError."""
        if not root.is_dir():
            return
        directory = _member(name, stat.S_IMODE(root.stat().st_mode) & 0o777, 0)
        directory.type = tarfile.DIRTYPE
        self._tar.addfile(directory)
        self._files.append(Entry(name, "dir", directory.mode))
        for path in sorted(root.iterdir()):
            if path.name in but or path.is_symlink() or path.name.endswith(".tmp"):
                continue
            if path.is_dir():
                self.add_tree(path, f"{name}/{path.name}")
            elif path.is_file():
                try:
                    self.add_file(path, f"{name}/{path.name}")
                except OSError as error:
                    self.lacks(f"{name}/{path.name}", error.strerror or str(error))

    def add_instance(self, instance_id: str, stream: IO[bytes]) -> None:
        """The files of an instance as `launcher.pack` wrote them. Raises Unavailable when the stream ends too early.

        It comes from a place where flows write, so nothing in it is believed: names stay below the instance.
        """
        within = f"{INSTANCES}/{instance_id}"
        whole = False
        try:
            with tarfile.open(fileobj=stream, mode="r|") as tar:
                while (member := tar.next()) is not None:
                    tar.members.clear()  # type: ignore[attr-defined]  # tarfile remembers every file it has seen
                    if member.name == _END:
                        whole = True
                        self._note(within, tar.extractfile(member))
                    elif is_plain(member.name):
                        self._add_member(tar, member, f"{within}/{member.name}")
        except tarfile.TarError as error:
            raise Unavailable(f"the files of instance {instance_id} came to a sudden end: {error}") from error
        if not whole:
            raise Unavailable(f"the files of instance {instance_id} came to a sudden end")

    def lacks(self, path: str, why: str) -> None:
        """Say that something is not in the backup."""
        self._lacks.append(Lack(path, why))

    def close(self) -> Manifest:
        """Write the manifest: the backup is whole with it. Raises OSError."""
        manifest = Manifest(self._files, self._lacks)
        self._write_small(MANIFEST, msgspec.json.encode(manifest))
        self._tar.close()
        return manifest

    def _add_member(self, tar: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> None:
        copy = _member(name, member.mode & 0o777, member.mtime)
        if member.isdir():
            copy.type = tarfile.DIRTYPE
            self._tar.addfile(copy)
            self._files.append(Entry(name, "dir", copy.mode))
        elif member.issym():
            copy.type, copy.linkname = tarfile.SYMTYPE, member.linkname[:_MOST_NAME]
            self._tar.addfile(copy)
            self._files.append(Entry(name, "link", target=copy.linkname))
        elif member.isreg() and (file := tar.extractfile(member)) is not None:
            copy.size = member.size
            self._add_bytes(copy, file)

    def _add_bytes(self, member: tarfile.TarInfo, file: IO[bytes]) -> None:
        counted = _Counted(file, member.size, self._advanced)
        self._tar.members.clear()  # type: ignore[attr-defined]
        self._tar.addfile(member, counted)  # type: ignore[arg-type]  # read() is all that is used
        self._files.append(Entry(member.name, mode=member.mode, size=member.size, sha256=counted.digest.hexdigest()))

    def _write_small(self, name: str, content: bytes) -> None:
        member = _member(name, 0o600, 0)
        member.size = len(content)
        self._tar.addfile(member, io.BytesIO(content))

    def _note(self, within: str, file: IO[bytes] | None) -> None:
        """What the packer said of what it could not read; words of a stranger, so in bounds."""
        try:
            said = json.loads(file.read(_END_BYTES)) if file is not None else {}
            lacks = [(str(path), "it was written while it was read") for path in said["changed"]]
            lacks += [(str(path), str(why)) for path, why in said["missing"]]
        except (ValueError, KeyError, TypeError):
            lacks = [("", "the packer's last words can't be read")]
        self._lacks += [Lack(f"{within}/{path[:_MOST_NAME]}", why[:200]) for path, why in lacks[:2000]]


class _Counted:
    """Reads exactly as much as was announced, and counts and digests it."""

    def __init__(self, file: IO[bytes], size: int, advanced: Advanced) -> None:
        self._file = file
        self._left = size
        self._advanced = advanced
        self.digest = hashlib.sha256()

    def read(self, count: int) -> bytes:
        wanted = min(count, self._left)
        content = self._file.read(wanted)
        while len(content) < wanted:  # a file that became shorter; tarfile takes a short answer for an error
            content += self._file.read(wanted - len(content)) or b"\0" * (wanted - len(content))
        self._left -= len(content)
        self.digest.update(content)
        self._advanced(len(content))
        return content


def _member(name: str, mode: int, mtime: float) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.mode, member.mtime = mode, int(max(0, mtime))
    return member


def is_plain(name: str) -> bool:
    """Whether a name stays where it is put."""
    parts = name.split("/")
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return bool(name) and len(name) <= _MOST_NAME and "\0" not in name and not {"", ".", ".."} & set(parts)
