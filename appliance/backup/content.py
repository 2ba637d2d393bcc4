"""What lies inside a backup: a tar that begins with `weir-backup.json` and ends with `manifest.json`.

state/       the database, the key of the box, its ports, what is kept of deleted instances
tls/         certificates and the box's own authority
config/      config.toml, config.d/
instances/   the files of each instance, below its id
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

FORMAT = 1
HEAD, MANIFEST = "weir-backup.json", "manifest.json"
DATABASE, BOX_KEY = "state/weir.db", "state/box.key"
INSTANCES = "instances"
MOST_MANIFEST_BYTES = 512 * 1024 * 1024


class PackedInstance(Struct, frozen=True):
    """An instance that is in the database of this backup."""

    id: str
    name: str


class Head(Struct, frozen=True):
    """The first file: what may be known before the rest is read. `packages`: installed modules are in it."""

    format: int
    version: str  # of Weir
    schema: str  # revision of the database
    madeAt: str  # noqa: N815 - as it is written
    host: str
    machine: str  # processor: modules with compiled parts are good for this kind only
    packages: bool
    instances: list[PackedInstance]


class Entry(Struct, frozen=True, omit_defaults=True):
    """One file, directory or link; `sha256` of files, `target` of links."""

    path: str
    kind: Literal["file", "dir", "link"] = "file"
    mode: int = 0o600
    size: int = 0
    sha256: str = ""
    target: str = ""


class Lack(Struct, frozen=True):
    """Something that should be in the backup and is not, or was written while it was read."""

    path: str
    why: str


class Manifest(Struct, frozen=True):
    """The last file: everything before it. A backup without it was cut."""

    files: list[Entry]
    lacks: list[Lack]
