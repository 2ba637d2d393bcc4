"""Snapshots of instances."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from sqlalchemy import Select, bindparam, delete, func, insert, select, update

from appliance.store.engine import Row, Tx
from appliance.store.tables import instances, snapshots
from appliance.store.values import from_json, to_json

_s = snapshots.c
_PARTS = ("modules", "settings", "env")


class Content(Struct, frozen=True):
    """What a snapshot holds. None: it does not say, a rollback leaves that as it is.

    `credentials` is `{"$": …}` or `{}`; values of hidden variables in `env` are `{"hidden": true, "$": …}`; all
    encrypted with the secret of the instance.
    """

    flows: bytes
    credentials: bytes
    settings: dict[str, Any] | None
    env: dict[str, Any] | None
    modules: dict[str, str] | None


class NewSnapshot(Struct, frozen=True):
    """A snapshot to keep. Milliseconds."""

    id: str
    instance_id: str
    name: str
    description: str
    automatic: bool
    user_id: str | None
    at: int
    content: Content


class SnapshotRow(Struct, frozen=True):
    """What is known of a snapshot without reading its flows."""

    seq: int
    id: str
    instance_id: str
    instance_name: str
    name: str
    description: str
    automatic: bool
    user_id: str | None
    bytes: int
    created_at: int
    updated_at: int
    modules: dict[str, str]


def _about() -> Select[Any]:
    columns = [_s.seq, _s.id, _s.instance_id, _s.name, _s.description, _s.automatic, _s.user_id, _s.bytes]
    return (
        select(*columns, _s.created_at, _s.updated_at, _s.modules, instances.c.name.label("instance_name"))
        .join_from(snapshots, instances, instances.c.id == _s.instance_id)
        .order_by(_s.seq.desc())
    )


_OF_INSTANCE = _about().where(_s.instance_id == bindparam("instance"))
_OF_APPLICATION = _about().where(instances.c.application_id == bindparam("application"))
_ONE = _about().where(_s.id == bindparam("key"))
_CONTENT = select(_s.flows, _s.credentials, _s.settings, _s.env, _s.modules).where(_s.id == bindparam("key"))
_TEAM_OF = (
    select(instances.c.team_id)
    .join_from(snapshots, instances, instances.c.id == _s.instance_id)
    .where(_s.id == bindparam("key"))
)
_SIZE = select(func.count().label("count"), func.coalesce(func.sum(_s.bytes), 0).label("bytes")).where(
    _s.instance_id == bindparam("instance")
)
_INSERT = insert(snapshots)
_CHANGE = (
    update(snapshots)
    .where(_s.id == bindparam("key"))
    .values(name=bindparam("called"), description=bindparam("text"), updated_at=bindparam("at"))
)
_DELETE = delete(snapshots).where(_s.id == bindparam("key"))
_COUNTS = (
    select(instances.c.application_id, func.count().label("count"))
    .select_from(snapshots.join(instances, instances.c.id == _s.instance_id))
    .where(instances.c.team_id == bindparam("team"))
    .group_by(instances.c.application_id)
)
_AUTOMATIC = select(_s.id).where(_s.instance_id == bindparam("instance"), _s.automatic == 1).order_by(_s.seq.desc())


def add(tx: Tx, new: NewSnapshot) -> None:
    """Keep a snapshot. Raises Conflict `in_use` when there is no such instance."""
    held = new.content
    tx.run(
        _INSERT,
        id=new.id,
        instance_id=new.instance_id,
        name=new.name,
        description=new.description,
        automatic=int(new.automatic),
        user_id=new.user_id,
        bytes=len(held.flows) + len(held.credentials),
        created_at=new.at,
        updated_at=new.at,
        modules=_text(held.modules),
        settings=_text(held.settings),
        env=_text(held.env),
        credentials=held.credentials,
        flows=held.flows,
    )


def of_instance(tx: Tx, instance_id: str) -> list[SnapshotRow]:
    """Newest first."""
    return [_row(row) for row in tx.all(_OF_INSTANCE, instance=instance_id)]


def of_application(tx: Tx, application_id: str) -> list[SnapshotRow]:
    """Those of all its instances, newest first."""
    return [_row(row) for row in tx.all(_OF_APPLICATION, application=application_id)]


def get(tx: Tx, snapshot_id: str) -> SnapshotRow | None:
    """The snapshot of that id."""
    row = tx.one(_ONE, key=snapshot_id)
    return _row(row) if row else None


def content(tx: Tx, snapshot_id: str) -> Content | None:
    """What it holds."""
    row = tx.one(_CONTENT, key=snapshot_id)
    if row is None:
        return None
    parts = {part: None if row[part] is None else from_json(row[part]) for part in _PARTS}
    return Content(flows=bytes(row["flows"]), credentials=bytes(row["credentials"]), **parts)


def team_of(tx: Tx, snapshot_id: str) -> str | None:
    """The team of the instance it is of."""
    row = tx.one(_TEAM_OF, key=snapshot_id)
    return str(row["team_id"]) if row else None


def counts(tx: Tx, team_id: str) -> dict[str, int]:
    """How many the instances of a team have, by the application they are in."""
    return {str(row["application_id"]): int(row["count"]) for row in tx.all(_COUNTS, team=team_id)}


def size(tx: Tx, instance_id: str) -> tuple[int, int]:
    """How many an instance has, and their bytes."""
    row = tx.one(_SIZE, instance=instance_id)
    return (int(row["count"]), int(row["bytes"])) if row else (0, 0)


def change(tx: Tx, snapshot_id: str, *, name: str, description: str, at: int) -> None:
    """Give it another name and description."""
    tx.run(_CHANGE, key=snapshot_id, called=name, text=description, at=at)


def remove(tx: Tx, snapshot_id: str) -> bool:
    """Forget it; False when it is not there."""
    return tx.run(_DELETE, key=snapshot_id) == 1


def trim_automatic(tx: Tx, instance_id: str, keep: int) -> None:
    """Of those that Weir made by itself only the newest stay."""
    for row in tx.all(_AUTOMATIC, instance=instance_id)[keep:]:
        tx.run(_DELETE, key=row["id"])


def _text(part: object) -> str | None:
    return None if part is None else to_json(part)


def _row(row: Row) -> SnapshotRow:
    return SnapshotRow(
        seq=row["seq"],
        id=row["id"],
        instance_id=row["instance_id"],
        instance_name=row["instance_name"],
        name=row["name"],
        description=row["description"],
        automatic=bool(row["automatic"]),
        user_id=row["user_id"],
        bytes=int(row["bytes"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        modules=from_json(row["modules"]) if row["modules"] else {},
    )
