"""Reads the content of a backup into an empty directory, and believes nothing of it before it was checked."""

from __future__ import annotations

import gzip
import hashlib
import os
import tarfile
import zlib
from pathlib import Path
from typing import IO, BinaryIO

import msgspec
from msgspec import Struct

from appliance.backup.content import FORMAT, HEAD, INSTANCES, MANIFEST, MOST_MANIFEST_BYTES, Entry, Head, Manifest
from appliance.backup.crypt import damaged
from appliance.backup.pack import is_plain
from appliance.errors import Invalid

_CHUNK_BYTES = 256 * 1024
_HEAD_BYTES = 16 * 1024 * 1024


class Unpacked(Struct, frozen=True):
    """What came out of a backup."""

    head: Head
    manifest: Manifest


def unpack(source: BinaryIO, directory: Path, *, machine: str) -> Unpacked:
    """Write everything below `directory`, which is empty and nobody else's, and check it. Installed modules are left
    out when they come from another kind of processor than `machine`.

    Files get their modes without those of other accounts' programs (no set-user-id); links are made last, so that
    nothing is ever written through one. Raises Invalid `backup_damaged` or `backup_newer`, OSError (a full disk).
    """
    try:
        with gzip.GzipFile(fileobj=source, mode="rb") as plain, tarfile.open(fileobj=plain, mode="r|") as tar:
            return _Reading(tar, directory, machine).run()
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise damaged(str(error)) from error


class _Reading:
    def __init__(self, tar: tarfile.TarFile, directory: Path, machine: str) -> None:
        self._tar = tar
        self._directory = directory
        self._machine = machine
        self._foreign = False
        self._seen: list[Entry] = []
        self._links: list[Entry] = []
        self._directories: list[Entry] = []

    def run(self) -> Unpacked:
        head: Head | None = None
        manifest: Manifest | None = None
        while (member := self._tar.next()) is not None:
            self._tar.members.clear()  # type: ignore[attr-defined]  # tarfile remembers every file it has seen
            if head is None:
                head = self._head(member)
                self._foreign = head.machine != self._machine
            elif manifest is not None:
                raise damaged("something stands after its end")
            elif member.name == MANIFEST:
                manifest = self._manifest(member)
            else:
                self._take(member)
        if head is None or manifest is None:
            raise damaged("its end is missing")
        self._compare(manifest)
        for link in self._links:
            (self._directory / link.path).symlink_to(link.target)
        for made in reversed(self._directories):
            (self._directory / made.path).chmod(made.mode | 0o700)
        return Unpacked(head, manifest)

    def _head(self, member: tarfile.TarInfo) -> Head:
        try:
            head = msgspec.json.decode(self._small(member, HEAD, _HEAD_BYTES), type=Head)
        except msgspec.MsgspecError as error:
            raise damaged("its first file can't be read") from error
        if head.format > FORMAT:
            raise Invalid(
                f"This backup was made by a newer Weir ({head.version}).",
                code="backup_newer",
                hint="Install that version, or a later one, and restore it with that.",
            )
        return head

    def _manifest(self, member: tarfile.TarInfo) -> Manifest:
        try:
            return msgspec.json.decode(self._small(member, MANIFEST, MOST_MANIFEST_BYTES), type=Manifest)
        except msgspec.MsgspecError as error:
            raise damaged("its manifest can't be read") from error

    def _small(self, member: tarfile.TarInfo, name: str, most_bytes: int) -> bytes:
        file = self._tar.extractfile(member) if member.name == name and member.size <= most_bytes else None
        if file is None:
            raise damaged(f"{name} is missing")
        return file.read()

    def _take(self, member: tarfile.TarInfo) -> None:
        name = member.name
        if not is_plain(name):
            raise damaged(f"{name[:80]!r} is no name of a file in it")
        wanted = not (self._foreign and _is_package(name))
        target = self._directory / name
        if member.isdir():
            self._seen.append(Entry(name, "dir", member.mode & 0o777))
            if wanted:
                target.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._directories.append(self._seen[-1])
        elif member.issym():
            self._seen.append(Entry(name, "link", target=member.linkname))
            if wanted:
                target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._links.append(self._seen[-1])
        elif member.isreg() and (file := self._tar.extractfile(member)) is not None:
            digest = self._copy(file, target, member) if wanted else _digest(file, None)
            self._seen.append(Entry(name, mode=member.mode & 0o777, size=member.size, sha256=digest))
        else:
            raise damaged(f"{name[:80]!r} is neither file, directory nor link")

    def _copy(self, file: IO[bytes], target: Path, member: tarfile.TarInfo) -> str:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as out:  # noqa: PTH123 - a descriptor, no path
            digest = _digest(file, out)
            os.fchmod(fd, member.mode & 0o777 | 0o600)
        os.utime(target, (member.mtime, member.mtime))
        return digest

    def _compare(self, manifest: Manifest) -> None:
        """Every file that the manifest names was there with these bytes, and no other."""
        if manifest.files == self._seen:
            return
        named = {entry.path: entry for entry in manifest.files}
        wrong = next((each.path for each in self._seen if named.pop(each.path, None) != each), None)
        raise damaged(f"{wrong or next(iter(named), 'a file')} is not what was packed")


def _digest(file: IO[bytes], out: IO[bytes] | None) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
        if out is not None:
            out.write(chunk)
    return digest.hexdigest()


def _is_package(name: str) -> bool:
    """Whether it belongs to the installed modules of an instance."""
    parts = name.split("/")
    return parts[0] == INSTANCES and len(parts) > 2 and parts[2] == "node_modules"
