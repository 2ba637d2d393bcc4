"""Stored accounts as the platform API shows them. Pure."""

from __future__ import annotations

import base64
import re

from appliance.errors import Invalid
from appliance.schema.users import User
from appliance.store.users import UserRow
from appliance.store.values import iso

_USERNAME = re.compile(r"[a-z0-9_-]{1,64}", re.ASCII)
_EMAIL = re.compile(r"[^\s@]{1,64}@[^\s@]{1,189}", re.ASCII)
_RESERVED = frozenset({"admin", "root"})
_NAME_LENGTH = 128


def shown_user(row: UserRow, base_url: str) -> User:
    """The account as its owner and administrators see it."""
    return User(
        id=row.id,
        username=row.username,
        name=row.name,
        email=row.email,
        email_verified=row.email_verified,
        avatar=avatar(row.name, base_url),
        admin=row.admin,
        createdAt=iso(row.created_at),
        suspended=row.suspended,
        defaultTeam=row.default_team_id,
        password_expired=row.password_expired,
    )


def avatar(name: str, base_url: str) -> str:
    """Where the picture for a name is found."""
    return f"{base_url}/avatar/{base64.urlsafe_b64encode(name.encode()).decode().rstrip('=')}"


def check_account(username: str, name: str, email: str) -> None:
    """Raises Invalid, saying which rule, unless an account may be called so."""
    if _USERNAME.fullmatch(username) is None or username in _RESERVED:
        raise Invalid(
            f"'{username[:64]}' can't be a user name.",
            code="invalid_username",
            hint="Use 1 to 64 of a-z 0-9 _ and -, but not admin or root.",
        )
    if _EMAIL.fullmatch(email) is None:
        raise Invalid(f"'{email[:64]}' is not an e-mail address.", hint="Write it as name@example.com.")
    if len(name) > _NAME_LENGTH or "://" in name:
        raise Invalid("A name is at most 128 characters long and holds no address.", code="invalid_name")
