"""The file that a person keeps: a plain tar with a few words for people, and what age encrypted.

    README.txt          how to open it without Weir
    backup.json         what it is, as far as strangers may know: no name of the box, nothing of its content
    key.age             only with a passphrase: the key, encrypted with it
    content.tar.gz.age  everything else

The content comes last: how long it is, is known when it was written, and its header is written again then.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

from appliance.backup import crypt
from appliance.backup.crypt import damaged
from appliance.errors import Invalid, Unavailable

FORMAT = 1
SMALL_BYTES = 64 * 1024
README, ABOUT, KEY, CONTENT = "README.txt", "backup.json", "key.age", "content.tar.gz.age"
_README = """\
A backup of a Weir box. Put it back on a blank box:   weir backup restore THIS-FILE
Or open it by hand, with age (https://age-encryption.org) and tar:
  tar xf THIS-FILE
  age -d -i {key} content.tar.gz.age | tar xz
"""


class About(Struct, frozen=True):
    """`backup.json`. `recipients`: the keys that open it, by their public halves."""

    format: int
    version: str  # of Weir
    madeAt: str  # noqa: N815 - as it is written
    recipients: list[str]
    passphrase: bool


class Opened(Struct, frozen=True):
    """What of a backup can be read without its key; `offset` and `size` say where the content lies."""

    about: About
    locked_key: bytes | None
    offset: int
    size: int


@contextmanager
def writing(file: BinaryIO, about: About, locked_key: bytes | None) -> Iterator[BinaryIO]:
    """Everything before the content is written; what the caller writes to the answer becomes the content.

    `file` is seekable and empty. Raises OSError.
    """
    readme = _README.format(key="key.age" if locked_key is not None else "YOUR-KEY-FILE")
    for name, content in ((README, readme.encode()), (ABOUT, msgspec.json.encode(about)), (KEY, locked_key)):
        if content is not None:
            file.write(_header(name, len(content)) + content + _padding(len(content)))
    at = file.tell()
    file.write(_header(CONTENT, 0))
    yield file
    end = file.tell()
    size = end - at - tarfile.BLOCKSIZE
    file.write(_padding(size) + b"\0" * (2 * tarfile.BLOCKSIZE))
    file.seek(at)
    file.write(_header(CONTENT, size))
    file.seek(0, io.SEEK_END)


def opened(path: Path) -> Opened:
    """The outside of a backup. Raises Invalid for what is none, or is cut; Unavailable when it can't be read."""
    try:
        with path.open("rb") as file:
            return _opened(file, path.stat().st_size)
    except FileNotFoundError as error:
        raise Invalid(f"There is no file {path}.", hint="Name the file of a backup.", code="no_backup") from error
    except OSError as error:
        raise Unavailable(f"{path} can't be read: {error.strerror}.", hint="Check the disk and the rights.") from error


def reading(path: Path, seen: Opened) -> BinaryIO:
    """The encrypted content as a stream. Raises OSError."""
    file = path.open("rb")
    file.seek(seen.offset)
    return _Part(file, seen.size)  # type: ignore[return-value]  # read() and close() are all that is used


def _opened(file: BinaryIO, length: int) -> Opened:
    about, locked = None, None
    try:
        with tarfile.open(fileobj=file, mode="r:") as outside:
            for member in outside:
                if member.name == CONTENT and about is not None:
                    if member.size == 0 or member.offset_data + member.size > length:
                        raise damaged("its end is missing")
                    return Opened(about, locked, member.offset_data, member.size)
                small = outside.extractfile(member) if member.isreg() and member.size <= SMALL_BYTES else None
                if small is not None and member.name == ABOUT:
                    about = _about(small.read())
                elif small is not None and member.name == KEY:
                    locked = small.read()
    except tarfile.TarError as error:
        if about is None:
            raise Invalid(
                "This is no backup of Weir.", code="no_backup", hint="Name a file that `weir backup create` wrote."
            ) from error
        raise damaged("its end is missing") from error
    if about is None:
        raise Invalid("This is no backup of Weir.", code="no_backup", hint="Name a file of `weir backup create`.")
    raise damaged("its end is missing")


def _about(content: bytes) -> About:
    try:
        about = msgspec.json.decode(content, type=About)
    except msgspec.MsgspecError as error:
        raise damaged("backup.json can't be read") from error
    if about.format > FORMAT:
        raise Invalid(
            f"This backup was made by a newer Weir ({about.version}).",
            code="backup_newer",
            hint="Install that version, or a later one, and restore it with that.",
        )
    return about


def keys(seen: Opened, *, passphrase: str | None, secrets: Sequence[str]) -> list[str]:
    """The secret keys to open it with. Raises WrongKey, Invalid when what is needed was not given."""
    if passphrase is not None and seen.locked_key is not None:
        return [crypt.unlock(seen.locked_key, passphrase)]
    if secrets:
        return list(secrets)
    needed = "its passphrase" if seen.locked_key is not None else f"the key of {', '.join(seen.about.recipients)}"
    raise Invalid(
        f"This backup opens with {needed}.",
        code="key_needed",
        hint="Give it: --passphrase-file FILE, or --key-file FILE for a key; on a terminal you are asked.",
    )


class _Part:
    """The next `size` bytes of a file, which is closed with it."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._left = size

    def read(self, count: int = -1) -> bytes:
        wanted = self._left if count < 0 else min(count, self._left)
        content = self._file.read(wanted)
        self._left -= len(content)
        return content

    def close(self) -> None:
        self._file.close()


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    return member.tobuf(tarfile.GNU_FORMAT)


def _padding(size: int) -> bytes:
    return b"\0" * (-size % tarfile.BLOCKSIZE)
