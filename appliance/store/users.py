"""Accounts of people."""

from __future__ import annotations

from msgspec import Struct
from sqlalchemy import bindparam, delete, func, insert, or_, select, update

from appliance.store.engine import Row, Tx
from appliance.store.paging import Found, Listing, Want
from appliance.store.tables import users


class NewUser(Struct, frozen=True):
    """An account to add; user name and e-mail address are unique whatever their case."""

    id: str
    username: str
    name: str
    email: str
    password_hash: str
    admin: bool
    default_team_id: str | None
    created_at: int


class UserRow(NewUser, frozen=True):
    """An account as it is stored."""

    email_verified: bool
    password_expired: bool
    suspended: bool
    tcs_accepted_at: int | None = None


_INSERT = insert(users)
_BY_ID = select(users).where(users.c.id == bindparam("user"))
_BY_LOGIN = select(users).where(
    or_(users.c.username_lower == bindparam("login"), users.c.email_lower == bindparam("login"))
)
_FIRST_ADMIN = select(users).where(users.c.admin == 1, users.c.suspended == 0).order_by(users.c.seq).limit(1)
_ADMINS = select(func.count().label("count")).where(users.c.admin == 1, users.c.suspended == 0)
_ANY = select(users.c.seq).limit(1)
_LISTING = Listing(
    select(users),
    users,
    text=(users.c.username, users.c.name, users.c.email),
    sorts={
        "username": users.c.username_lower,
        "name": func.lower(users.c.name),
        "email": users.c.email_lower,
        "createdAt": users.c.created_at,
    },
)
_COUNTS = select(func.count().label("people"), func.coalesce(func.sum(users.c.admin), 0).label("admins"))
_CHANGE = update(users).where(users.c.id == bindparam("user"))
_DELETE = delete(users).where(users.c.id == bindparam("user"))
_LEFT_TEAM = update(users).where(users.c.id == bindparam("user"), users.c.default_team_id == bindparam("left"))
_TEAM_GONE = update(users).where(users.c.default_team_id == bindparam("left"))
_SET_PASSWORD = update(users).where(users.c.id == bindparam("user"))


def add(tx: Tx, new: NewUser) -> None:
    """Raises Conflict when the user name or the e-mail address is taken."""
    tx.run(
        _INSERT,
        id=new.id,
        username=new.username,
        username_lower=new.username.lower(),
        name=new.name,
        email=new.email,
        email_lower=new.email.lower(),
        password_hash=new.password_hash,
        admin=int(new.admin),
        default_team_id=new.default_team_id,
        created_at=new.created_at,
        updated_at=new.created_at,
    )


def get(tx: Tx, user_id: str) -> UserRow | None:
    """By id."""
    return _user(tx.one(_BY_ID, user=user_id))


def by_login(tx: Tx, login: str) -> UserRow | None:
    """By user name or e-mail address, whatever their case."""
    return _user(tx.one(_BY_LOGIN, login=login.lower()))


def first_admin(tx: Tx) -> UserRow | None:
    """The oldest administrator who is not suspended."""
    return _user(tx.one(_FIRST_ADMIN))


def admin_count(tx: Tx) -> int:
    """How many administrators can log in."""
    row = tx.one(_ADMINS)
    return int(row["count"]) if row else 0


def exist(tx: Tx) -> bool:
    """Whether there is any account."""
    return tx.one(_ANY) is not None


def set_password(tx: Tx, user_id: str, password_hash: str, at: int) -> None:
    """Replace the password; it no longer counts as expired."""
    tx.run(_SET_PASSWORD, user=user_id, password_hash=password_hash, password_expired=0, updated_at=at)


def page(tx: Tx, want: Want) -> Found:
    """A page of all accounts, oldest first unless sorted."""
    return _LISTING.read(tx, want)


def counts(tx: Tx) -> tuple[int, int]:
    """How many accounts there are, and how many of them are administrators'."""
    row = tx.one(_COUNTS)
    return (int(row["people"]), int(row["admins"])) if row else (0, 0)


def change(tx: Tx, row: UserRow, at: int) -> None:
    """Write all that may change but the password. Raises Conflict when user name or e-mail address are taken."""
    tx.run(
        _CHANGE,
        user=row.id,
        username=row.username,
        username_lower=row.username.lower(),
        name=row.name,
        email=row.email,
        email_lower=row.email.lower(),
        email_verified=int(row.email_verified),
        password_expired=int(row.password_expired),
        admin=int(row.admin),
        suspended=int(row.suspended),
        default_team_id=row.default_team_id,
        tcs_accepted_at=row.tcs_accepted_at,
        updated_at=at,
    )


def remove(tx: Tx, user_id: str) -> None:
    """Drop the account with its sessions, tokens, memberships, invitations and notifications."""
    tx.run(_DELETE, user=user_id)


def leave_team(tx: Tx, team_id: str, user_id: str | None = None) -> None:
    """It is nobody's (or not this user's) default team any more."""
    if user_id is None:
        tx.run(_TEAM_GONE, left=team_id, default_team_id=None)
    else:
        tx.run(_LEFT_TEAM, left=team_id, user=user_id, default_team_id=None)


def clash(error: Exception) -> str:
    """Which of the two a Conflict is about: `username`, `email` or ''."""
    return next((name for name in ("username", "email") if f"users.{name}_lower" in str(error)), "")


def of(row: Row) -> UserRow:
    """A row of `page` as a struct."""
    found = _user(row)
    assert found is not None  # noqa: S101 - a row was given
    return found


def _user(row: Row | None) -> UserRow | None:
    if row is None:
        return None
    return UserRow(
        id=row["id"],
        username=row["username"],
        name=row["name"],
        email=row["email"],
        password_hash=row["password_hash"],
        admin=bool(row["admin"]),
        default_team_id=row["default_team_id"],
        created_at=row["created_at"],
        email_verified=bool(row["email_verified"]),
        password_expired=bool(row["password_expired"]),
        suspended=bool(row["suspended"]),
        tcs_accepted_at=row["tcs_accepted_at"],
    )
