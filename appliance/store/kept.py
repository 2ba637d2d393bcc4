"""Deploys that were made while the appliance was away and could not be stored afterwards."""

from __future__ import annotations

from msgspec import Struct
from sqlalchemy import bindparam, delete, func, insert, select

from appliance.store.engine import Row, Tx
from appliance.store.tables import kept_deploys, users

_k = kept_deploys.c
_OF = _k.instance_id == bindparam("instance")
_INSERT = insert(kept_deploys)
_ABOUT = (
    select(
        _k.id,
        _k.instance_id,
        _k.name,
        _k.reason,
        _k.message,
        _k.made_at,
        _k.created_at,
        func.length(_k.flows).label("bytes"),
        users.c.username,
    )
    .outerjoin(users, users.c.id == _k.user_id)
    .order_by(_k.seq)
)
_LIST = _ABOUT.where(_OF)
_EVERY = _ABOUT
_ONE = select(_k.name, _k.reason, _k.user_id, _k.flows, _k.credentials).where(_OF, _k.id == bindparam("key"))
_SIZE = select(func.coalesce(func.sum(func.length(_k.flows) + func.coalesce(func.length(_k.credentials), 0)), 0)).where(
    _OF
)
_KNOWN = select(_k.name).where(_OF, _k.request_id == bindparam("request"))
_NAMED = select(_k.seq).where(_OF, _k.name == bindparam("called"))
_BODIES = select(_k.name, _k.flows, _k.credentials).where(_OF)
_DELETE = delete(kept_deploys).where(_OF, _k.id == bindparam("key"))


class NewKept(Struct, frozen=True):
    """A deploy to keep. `credentials` None: they did not change. Milliseconds."""

    id: str
    instance_id: str
    name: str
    request_id: str | None
    reason: str
    message: str
    user_id: str | None
    made_at: int
    at: int
    credentials: bytes | None
    flows: bytes


class KeptRow(Struct, frozen=True):
    """What is known of a kept deploy without reading it; `username` None where nobody is known."""

    id: str
    instance_id: str
    name: str
    reason: str
    message: str
    made_at: int
    created_at: int
    bytes: int
    username: str | None


class Content(Struct, frozen=True):
    """A kept deploy itself."""

    name: str
    reason: str
    user_id: str | None
    flows: bytes
    credentials: bytes | None


def add(tx: Tx, new: NewKept) -> None:
    """Keep a deploy. Raises Conflict `in_use` when there is no such instance."""
    tx.run(
        _INSERT,
        id=new.id,
        instance_id=new.instance_id,
        name=new.name,
        request_id=new.request_id,
        reason=new.reason,
        message=new.message,
        user_id=new.user_id,
        made_at=new.made_at,
        created_at=new.at,
        credentials=new.credentials,
        flows=new.flows,
    )


def of_instance(tx: Tx, instance_id: str) -> list[KeptRow]:
    """Those of one instance, oldest first."""
    return [_row(row) for row in tx.all(_LIST, instance=instance_id)]


def size_bytes(tx: Tx, instance_id: str) -> int:
    """What all that is kept of one instance takes, credentials too."""
    row = tx.one(_SIZE, instance=instance_id)
    return int(row[0]) if row is not None else 0


def every(tx: Tx) -> list[KeptRow]:
    """All there are, oldest first."""
    return [_row(row) for row in tx.all(_EVERY)]


def content(tx: Tx, instance_id: str, kept_id: str) -> Content | None:
    """The deploy of that id, if it is the instance's."""
    row = tx.one(_ONE, instance=instance_id, key=kept_id)
    if row is None:
        return None
    sealed = row["credentials"]
    return Content(
        name=row["name"],
        reason=row["reason"],
        user_id=row["user_id"],
        flows=bytes(row["flows"]),
        credentials=None if sealed is None else bytes(sealed),
    )


def bodies(tx: Tx, instance_id: str) -> dict[str, bytes]:
    """Everything that is kept here of an instance: flows by their name, credentials by that and `-credentials`."""
    found = {}
    for row in tx.all(_BODIES, instance=instance_id):
        named = {row["name"]: row["flows"], f"{row['name']}-credentials": row["credentials"]}
        found.update({name: bytes(body) for name, body in named.items() if body})
    return found


def name_of(tx: Tx, instance_id: str, request_id: str) -> str | None:
    """The name under which this very deploy is kept already."""
    row = tx.one(_KNOWN, instance=instance_id, request=request_id)
    return row["name"] if row else None


def name_taken(tx: Tx, instance_id: str, name: str) -> bool:
    return tx.one(_NAMED, instance=instance_id, called=name) is not None


def remove(tx: Tx, instance_id: str, kept_id: str) -> bool:
    """Forget one; False when it is not there."""
    return tx.run(_DELETE, instance=instance_id, key=kept_id) == 1


def _row(row: Row) -> KeptRow:
    return KeptRow(
        id=row["id"],
        instance_id=row["instance_id"],
        name=row["name"],
        reason=row["reason"],
        message=row["message"],
        made_at=row["made_at"],
        created_at=row["created_at"],
        bytes=int(row["bytes"]),
        username=row["username"],
    )
