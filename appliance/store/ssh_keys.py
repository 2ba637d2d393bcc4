"""Public keys with which people log in over SSH, and the logins that were made with them."""

from __future__ import annotations

from msgspec import Struct
from sqlalchemy import bindparam, delete, insert, select, update

from appliance.store.engine import Row, Tx
from appliance.store.tables import ssh_keys, tokens, users
from appliance.store.tokens import Kind

_k, _t = ssh_keys.c, tokens.c
_INSERT = insert(ssh_keys)
_OF_USER = select(ssh_keys).where(_k.user_id == bindparam("user")).order_by(_k.seq)
_ONE = select(ssh_keys).where(_k.id == bindparam("key_id"), _k.user_id == bindparam("user"))
_OWNED = select(ssh_keys, users.c.username, users.c.admin, users.c.suspended).join(users, users.c.id == _k.user_id)
_BY_FINGERPRINT = _OWNED.where(_k.fingerprint == bindparam("shown"))
_EVERY = _OWNED.order_by(_k.seq)
_USED = update(ssh_keys).where(_k.id == bindparam("key_id")).values(used_at=bindparam("now"))
_DELETE = delete(ssh_keys).where(_k.id == bindparam("key_id"))
_LOGINS = select(_t.id).where(_t.kind == Kind.SSH.value, _t.user_id == bindparam("user")).order_by(_t.seq)
_END_LOGINS = delete(tokens).where(_t.kind == Kind.SSH.value, _t.name == bindparam("key_id"))


class KeyRow(Struct, frozen=True):
    """A key as it is kept. `body` is base64 and `fingerprint` `SHA256:…`, both as OpenSSH writes them. Milliseconds."""

    id: str
    user_id: str
    name: str
    type: str
    body: str
    fingerprint: str
    created_at: int
    used_at: int | None = None


class OwnedKey(Struct, frozen=True):
    """A key and whose it is."""

    key: KeyRow
    username: str
    admin: bool
    suspended: bool


def add(tx: Tx, new: KeyRow) -> None:
    """Keep a new key; its fingerprint must be that of no other."""
    tx.run(
        _INSERT,
        id=new.id,
        user_id=new.user_id,
        name=new.name,
        type=new.type,
        body=new.body,
        fingerprint=new.fingerprint,
        created_at=new.created_at,
        used_at=new.used_at,
    )


def of_user(tx: Tx, user_id: str) -> list[KeyRow]:
    """Somebody's keys, oldest first."""
    return [_key(row) for row in tx.all(_OF_USER, user=user_id)]


def get(tx: Tx, user_id: str, key_id: str) -> KeyRow | None:
    """One of somebody's keys."""
    row = tx.one(_ONE, user=user_id, key_id=key_id)
    return _key(row) if row else None


def by_fingerprint(tx: Tx, fingerprint: str) -> OwnedKey | None:
    """The key and its owner, whether he is kept out or not."""
    row = tx.one(_BY_FINGERPRINT, shown=fingerprint)
    return _owned(row) if row else None


def every(tx: Tx) -> list[OwnedKey]:
    """All keys of the box, oldest first."""
    return [_owned(row) for row in tx.all(_EVERY)]


def used(tx: Tx, key_id: str, now: int) -> None:
    """Somebody came in with it."""
    tx.run(_USED, key_id=key_id, now=now)


def remove(tx: Tx, key_id: str) -> None:
    """Drop a key, and end the logins that were made with it."""
    tx.run(_END_LOGINS, key_id=key_id)
    tx.run(_DELETE, key_id=key_id)


def logins(tx: Tx, user_id: str) -> list[str]:
    """The ids of somebody's logins over SSH, oldest first; those that have ended by time too."""
    return [row["id"] for row in tx.all(_LOGINS, user=user_id)]


def _key(row: Row) -> KeyRow:
    return KeyRow(
        id=row["id"],
        user_id=row["user_id"],
        name=row["name"],
        type=row["type"],
        body=row["body"],
        fingerprint=row["fingerprint"],
        created_at=row["created_at"],
        used_at=row["used_at"],
    )


def _owned(row: Row) -> OwnedKey:
    return OwnedKey(_key(row), row["username"], bool(row["admin"]), bool(row["suspended"]))
