"""What was placed in units: one file for each launcher, read by its unit, by an appliance with an empty memory, and
by a boot on which the appliance does not come up."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from appliance.system.files import read_plain, sync_directory, write_atomic
from appliance.system.pidfd import Identity

RECORD_BYTES = 64 << 10


class Record(Struct, frozen=True):
    """`launch/<name>.json`: what the unit runs, and what was placed. Without `invocation` the start was begun and its
    end is not known. All users can read it: no secret is in here."""

    id: str
    generation: int
    launcher_port: int
    node_red_port: int
    placed_at: datetime
    program: str
    argv: tuple[str, ...]
    env: dict[str, str]
    boot_socket: str
    invocation: str = ""
    identity: Identity | None = None


def unit_name(instance_id: str) -> str:
    """The short name of an instance: 26 letters and digits, one for each id. Raises ValueError for what is no UUID in
    its usual spelling."""
    parsed = uuid.UUID(instance_id)
    if str(parsed) != instance_id:
        raise ValueError(f"not a UUID in its usual spelling: {instance_id}")
    return base64.b32encode(parsed.bytes).decode().rstrip("=").lower()


def instance_id(name: str) -> str:
    """The id of a short name. Raises ValueError for what is none."""
    found = str(uuid.UUID(bytes=base64.b32decode(name.upper() + "=" * (-len(name) % 8))))
    if unit_name(found) != name:
        raise ValueError(f"not the name of an instance: {name}")
    return found


def id_of(name: str) -> str | None:
    """The id of a short name; None for what is none."""
    try:
        return instance_id(name)
    except ValueError:
        return None


class Records:
    """The directory `launch/`. All methods block and raise OSError."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def make(self) -> None:
        """Launchers read their own record there, as users of their own."""
        self.directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        if self.directory.stat().st_mode & 0o777 != 0o755:
            self.directory.chmod(0o755)

    def ids(self) -> Sequence[str]:
        """Of all instances that have one."""
        return [found for path in self.directory.glob("*.json") if (found := id_of(path.stem)) is not None]

    def find(self, instance_id: str) -> Record | None:
        """None without one. OSError also for what is no record: nobody but us can write there."""
        try:
            content = read_plain(self.file(instance_id), RECORD_BYTES)
        except (FileNotFoundError, ValueError):
            return None
        try:
            return msgspec.json.decode(content, type=Record)
        except msgspec.MsgspecError as error:
            raise OSError(f"{self.file(instance_id)} is spoiled: {error}") from error

    def write(self, record: Record) -> None:
        """On the disk when it returns."""
        write_atomic(self.file(record.id), msgspec.json.encode(record), 0o644)

    def forget(self, instance_id: str) -> None:
        """Idempotent."""
        self.file(instance_id).unlink(missing_ok=True)
        sync_directory(self.directory)

    def limits(self, instance_id: str) -> str:
        """The properties that its unit was given last; empty where that is not known."""
        try:
            return self._limits(instance_id).read_text()
        except (OSError, UnicodeDecodeError):
            return ""

    def keep_limits(self, instance_id: str, properties: str) -> None:
        write_atomic(self._limits(instance_id), properties)

    def forget_limits(self, instance_id: str) -> None:
        self._limits(instance_id).unlink(missing_ok=True)

    def file(self, instance_id: str) -> Path:
        """Raises ValueError for an id that names no unit."""
        return self.directory / f"{unit_name(instance_id)}.json"

    def _limits(self, instance_id: str) -> Path:
        return self.file(instance_id).with_suffix(".set")
