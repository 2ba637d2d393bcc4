"""What Node-RED keeps: flows, credentials, settings, sessions. One row per instance and kind, bytes as given."""

from __future__ import annotations

from msgspec import Struct
from sqlalchemy import bindparam, insert, select, update

from appliance.store.engine import Tx
from appliance.store.tables import storage

_s = storage.c
_OF = (_s.instance_id == bindparam("instance"), _s.kind == bindparam("of"))

_BODY = select(_s.body).where(*_OF)
_BODIES = select(_s.kind, _s.body).where(_s.instance_id == bindparam("instance"))
_STATE = select(_s.sha256, _s.revision, _s.request_id, _s.updated_at).where(*_OF)
_UPDATE = (
    update(storage)
    .where(*_OF)
    .values(
        body=bindparam("bytes"),
        sha256=bindparam("digest"),
        revision=_s.revision + 1,
        request_id=bindparam("request"),
        user_id=bindparam("user"),
        updated_at=bindparam("at"),
    )
)
_INSERT = insert(storage)


class Stored(Struct, frozen=True):
    """What is known of a stored document without reading it."""

    sha256: str
    revision: int
    request_id: str | None
    updated_at: int


class Write(Struct, frozen=True):
    """A document to keep."""

    instance_id: str
    kind: str
    body: bytes
    sha256: str
    request_id: str | None
    user_id: str | None
    at: int


def body(tx: Tx, instance_id: str, kind: str) -> bytes | None:
    """The bytes that were acknowledged last, or None."""
    row = tx.one(_BODY, instance=instance_id, of=kind)
    return bytes(row["body"]) if row else None


def bodies(tx: Tx, instance_id: str) -> dict[str, bytes]:
    """Everything kept for an instance, by kind."""
    return {row["kind"]: bytes(row["body"]) for row in tx.all(_BODIES, instance=instance_id)}


def state(tx: Tx, instance_id: str, kind: str) -> Stored | None:
    """Digest, revision and last request of a document."""
    row = tx.one(_STATE, instance=instance_id, of=kind)
    if row is None:
        return None
    return Stored(row["sha256"], row["revision"], row["request_id"], row["updated_at"])


def write(tx: Tx, new: Write) -> None:
    """Replace the document, or begin it. Raises Conflict `in_use` when there is no such instance."""
    changed = tx.run(
        _UPDATE,
        instance=new.instance_id,
        of=new.kind,
        bytes=new.body,
        digest=new.sha256,
        request=new.request_id,
        user=new.user_id,
        at=new.at,
    )
    if not changed:
        tx.run(
            _INSERT,
            instance_id=new.instance_id,
            kind=new.kind,
            body=new.body,
            sha256=new.sha256,
            revision=1,
            request_id=new.request_id,
            user_id=new.user_id,
            updated_at=new.at,
        )
