"""What is asked of a process that works on backups, and what it says: one JSON line in, many lines out.

The process ends itself when its standard input ends: whoever asked is gone, or asks no more.
"""

from __future__ import annotations

from msgspec import Struct


class InstanceSource(Struct, frozen=True):
    """Where the files of an instance come from: a directory that we may read, an archive that still waits for its
    launcher, its launcher at `port`, or without one a unit that runs as its user (`unit`: its short name)."""

    id: str
    directory: str = ""
    archive: str = ""
    port: int = 0
    secret: str = ""
    unit: str = ""


class Create(Struct, frozen=True, tag="create"):
    """Make the backup of the box at `home` and put it at `out`, which is replaced only by a whole one.

    It opens with the keys of `recipients`, and with `passphrase` where there is one; at least one of both.
    """

    home: str
    out: str
    madeAt: str  # noqa: N815 - ISO, by the clock of who asks
    recipients: list[str] = []
    passphrase: str = ""
    packages: bool = False
    sources: list[InstanceSource] = []


class Verify(Struct, frozen=True, tag="verify"):
    """Restore the backup `file` into a scratch directory of the box at `home` and start what is in it, safely."""

    home: str
    file: str
    passphrase: str = ""
    secrets: list[str] = []


class Key(Struct, frozen=True, tag="key"):
    """Make a key, or look whether `recipient` is one of age."""

    recipient: str = ""


class Pair(Struct, frozen=True, tag="pair"):
    """A key: `recipient` encrypts and may be known, `secret` opens and is empty when it was not made here."""

    recipient: str
    secret: str = ""


class Progress(Struct, frozen=True, tag="progress"):
    """What is being done; `fraction` is 0…1."""

    step: str
    fraction: float


class Made(Struct, frozen=True, tag="made"):
    """A backup is there. `lacks`: what should be in it and is not, in words (the first few)."""

    size_bytes: int
    schema: str
    version: str
    instances: int
    files: int
    lacks: list[str]
    took_s: float


class ProvenInstance(Struct, frozen=True):
    """An instance whose Node-RED answered from the restored copy: how many nodes it has, how many with credentials."""

    id: str
    name: str
    nodes: int
    credentials: int


class Proven(Struct, frozen=True, tag="proven"):
    """The backup was restored and what is in it was started, without its flows."""

    instances: list[ProvenInstance]
    files: int
    schema: str
    took_s: float


class Failed(Struct, frozen=True, tag="failed"):
    """It did not succeed: nothing is left of it. `kind`: the class of the error."""

    kind: str
    code: str
    message: str
    hint: str


Job = Create | Verify | Key
Done = Made | Proven | Pair
Said = Progress | Made | Proven | Pair | Failed
