"""Sessions of browsers: only hashes of their ids are kept."""

from __future__ import annotations

from msgspec import Struct
from sqlalchemy import bindparam, delete, insert, or_, select, update

from appliance.store.engine import Tx
from appliance.store.tables import sessions


class SessionRow(Struct, frozen=True):
    """`expires_at` is the hard end; `idle_at` the end unless it is used before. Milliseconds."""

    hash: str
    user_id: str
    csrf_hash: str
    created_at: int
    expires_at: int
    idle_at: int


_INSERT = insert(sessions)
_GET = select(sessions).where(sessions.c.hash == bindparam("session"))
_TOUCH = update(sessions).where(sessions.c.hash == bindparam("session"))
_DELETE = delete(sessions).where(sessions.c.hash == bindparam("session"))
_DELETE_OF_USER = delete(sessions).where(sessions.c.user_id == bindparam("user"))
_SWEEP = delete(sessions).where(or_(sessions.c.expires_at <= bindparam("now"), sessions.c.idle_at <= bindparam("now")))


def add(tx: Tx, new: SessionRow) -> None:
    """Keep a new session."""
    tx.run(
        _INSERT,
        hash=new.hash,
        user_id=new.user_id,
        csrf_hash=new.csrf_hash,
        created_at=new.created_at,
        expires_at=new.expires_at,
        idle_at=new.idle_at,
    )


def get(tx: Tx, session_hash: str) -> SessionRow | None:
    """By the hash of its id, whether it has ended or not."""
    row = tx.one(_GET, session=session_hash)
    if row is None:
        return None
    return SessionRow(
        hash=row["hash"],
        user_id=row["user_id"],
        csrf_hash=row["csrf_hash"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        idle_at=row["idle_at"],
    )


def touch(tx: Tx, session_hash: str, idle_at: int) -> None:
    """Move the idle end."""
    tx.run(_TOUCH, session=session_hash, idle_at=idle_at)


def end(tx: Tx, session_hash: str) -> None:
    """End one session."""
    tx.run(_DELETE, session=session_hash)


def end_all(tx: Tx, user_id: str) -> None:
    """End every session of a user."""
    tx.run(_DELETE_OF_USER, user=user_id)


def sweep(tx: Tx, now: int) -> None:
    """Drop those that have ended."""
    tx.run(_SWEEP, now=now)
