"""Backups of the box: files that were made, the key they open with, and when the next one is made."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta as MsgMeta

from appliance.schema.common import Body, Wire

Every = Literal["off", "hour", "day", "week"]


class Backup(Wire):
    """One backup. `recipients`: public halves of the keys that open it; `passphrase`: one opens it as well.

    `lacks`: what should be in it and is not. `verified_at`: when it was last restored and started, to prove it;
    `verify_error`: why that failed the last time.
    """

    id: str
    made_at: str
    scheduled: bool
    file: str
    size_bytes: int
    packages: bool
    passphrase: bool
    recipients: list[str]
    version: str
    schema: str
    instances: int
    files: int
    lacks: list[str]
    took_s: float
    verified_at: str | None = None
    verify_error: str | None = None


class BackupWork(Wire):
    """What is being done now: `create` or `verify`; `fraction` is 0…1. `error` tells how the last one failed.

    `id` is the backup's; programs wait for it with `?wait=` seconds at `GET /backups/work`.
    """

    id: str
    kind: str
    step: str
    fraction: float
    running: bool
    error: str | None = None
    hint: str | None = None


class BackupSchedule(Wire):
    """When backups are made by themselves, how many of them are kept, and where. `target`: empty for the box's own
    folder, a folder, `mount:FOLDER` for one on a stick that has to be mounted, or `rclone:REMOTE:PATH`.
    `at` and `weekday` (0 is Monday) are in the time zone of the box."""

    every: Every = "off"
    at: Annotated[str, MsgMeta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = "02:30"
    weekday: Annotated[int, MsgMeta(ge=0, le=6)] = 6
    keep: Annotated[int, MsgMeta(ge=1, le=1000)] = 7
    packages: bool = False
    target: Annotated[str, MsgMeta(max_length=1000)] = ""
    recipient: str = ""
    next_at: str | None = None


class Backups(Wire):
    """All backups that are known, newest first."""

    count: int
    backups: list[Backup]
    schedule: BackupSchedule
    work: BackupWork | None = None


class CreateBackup(Body):
    """`passphrase` empty: the key of the box's backups is used. `target`, `packages`: as in the schedule when left out.
    `due`: only if the schedule says that one is due. A personal token may give neither passphrase nor target."""

    passphrase: Annotated[str, MsgMeta(max_length=1000)] = ""
    target: Annotated[str, MsgMeta(max_length=1000)] | None = None
    packages: bool | None = None
    due: bool = False


class OpenBackup(Body):
    """What opens a backup: its passphrase, or the secret half of its key. Neither is kept."""

    passphrase: Annotated[str, MsgMeta(max_length=1000)] = ""
    key: Annotated[str, MsgMeta(max_length=1000)] = ""


class ChangeSchedule(Body):
    """What is left out stays. A personal token may not give the target."""

    every: Every | None = None
    at: Annotated[str, MsgMeta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] | None = None
    weekday: Annotated[int, MsgMeta(ge=0, le=6)] | None = None
    keep: Annotated[int, MsgMeta(ge=1, le=1000)] | None = None
    packages: bool | None = None
    target: Annotated[str, MsgMeta(max_length=1000)] | None = None


class ChangeKey(Body):
    """`recipient`: a key that was made elsewhere (`age-keygen`); empty: Weir makes one and shows its secret once."""

    recipient: Annotated[str, MsgMeta(max_length=200)] = ""


class BackupKey(Wire):
    """`secret` opens backups. It is shown this once and not kept; null when the key was made elsewhere."""

    recipient: str
    secret: str | None = None


class WorkQuery(Wire):
    """`wait`: how many seconds to wait for the end of what is being done."""

    wait: Annotated[int, MsgMeta(ge=0, le=55)] = 0
