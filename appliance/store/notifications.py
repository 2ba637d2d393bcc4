"""What the box has to tell people."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from sqlalchemy import bindparam, delete, insert, select, update

from appliance.store.engine import Row, Tx
from appliance.store.paging import Found, Listing, Want
from appliance.store.tables import notifications
from appliance.store.values import from_json, to_json


class NotificationRow(Struct, frozen=True):
    """One thing told to one person; `reference` names what it is about."""

    id: str
    user_id: str
    type: str
    reference: str
    read: bool
    data: dict[str, Any]
    created_at: int


_n = notifications.c
_OF_USER = select(notifications).where(_n.user_id == bindparam("user"))
_LISTING = Listing(_OF_USER, notifications, text=(), newest_first=True)
_BY_ID = _OF_USER.where(_n.id == bindparam("notification"))
_UNREAD = _OF_USER.where(_n.reference == bindparam("about"), _n.read == 0).order_by(_n.seq.desc()).limit(1)
_INSERT = insert(notifications)
_AGAIN = update(notifications).where(_n.id == bindparam("notification"))
_MARK = update(notifications).where(_n.user_id == bindparam("user"), _n.id == bindparam("notification"))
_DELETE = delete(notifications).where(_n.user_id == bindparam("user"), _n.id == bindparam("notification"))
_FORGET = delete(notifications).where(_n.user_id == bindparam("user"), _n.reference == bindparam("about"))
_TRIM = delete(notifications).where(
    _n.user_id == bindparam("user"),
    _n.seq
    <= select(_n.seq)
    .where(_n.user_id == bindparam("user"))
    .order_by(_n.seq.desc())
    .offset(bindparam("most"))
    .limit(1)
    .scalar_subquery(),
)


def add(tx: Tx, new: NotificationRow, *, most: int) -> None:
    """Tell somebody something new; only his newest `most` are kept."""
    tx.run(
        _INSERT,
        id=new.id,
        user_id=new.user_id,
        type=new.type,
        reference=new.reference,
        read=int(new.read),
        data=to_json(new.data),
        created_at=new.created_at,
    )
    tx.run(_TRIM, user=new.user_id, most=most)


def unread(tx: Tx, user_id: str, reference: str) -> NotificationRow | None:
    """The newest about this that has not been read."""
    row = tx.one(_UNREAD, user=user_id, about=reference)
    return notification_of(row) if row else None


def again(tx: Tx, notification_id: str, data: dict[str, Any], at: int) -> None:
    """It happened once more."""
    tx.run(_AGAIN, notification=notification_id, data=to_json(data), created_at=at)


def get(tx: Tx, user_id: str, notification_id: str) -> NotificationRow | None:
    """One of somebody's."""
    row = tx.one(_BY_ID, user=user_id, notification=notification_id)
    return notification_of(row) if row else None


def page(tx: Tx, user_id: str, want: Want) -> Found:
    """Somebody's, newest first."""
    return _LISTING.read(tx, want, user=user_id)


def mark(tx: Tx, user_id: str, notification_id: str, read: bool) -> bool:
    """Read or unread; False when it is not his."""
    return tx.run(_MARK, user=user_id, notification=notification_id, read=int(read)) > 0


def remove(tx: Tx, user_id: str, notification_id: str) -> bool:
    """Drop one; False when it is not his."""
    return tx.run(_DELETE, user=user_id, notification=notification_id) > 0


def forget(tx: Tx, user_id: str, reference: str) -> None:
    """What it was about is settled."""
    tx.run(_FORGET, user=user_id, about=reference)


def notification_of(row: Row) -> NotificationRow:
    """A row of `page` as a struct."""
    return NotificationRow(
        id=row["id"],
        user_id=row["user_id"],
        type=row["type"],
        reference=row["reference"],
        read=bool(row["read"]),
        data=from_json(row["data"]),
        created_at=row["created_at"],
    )
