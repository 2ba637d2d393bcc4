"""Stored accounts as the platform API shows them. Pure."""

from __future__ import annotations

import base64
import re

from appliance.errors import Invalid
from appliance.schema.common import Links
from appliance.schema.users import TeamSummary, User, UserSummary
from appliance.store.teams import TeamRow
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
        tcs_accepted=None if row.tcs_accepted_at is None else iso(row.tcs_accepted_at),
    )


def user_summary(row: UserRow, base_url: str) -> UserSummary:
    """The account as those see it who share a team with it."""
    return UserSummary(
        id=row.id,
        username=row.username,
        name=row.name,
        avatar=avatar(row.name, base_url),
        admin=row.admin,
        created_at=iso(row.created_at),
        suspended=row.suspended,
    )


def team_summary(row: TeamRow, base_url: str) -> TeamSummary:
    """The team without what it has."""
    return TeamSummary(
        id=row.id,
        name=row.name,
        slug=row.slug,
        avatar=avatar(row.name, base_url),
        suspended=row.suspended,
        links=Links(self=f"{base_url}/api/v1/teams/{row.id}"),
    )


def as_body(row: UserRow) -> dict[str, str]:
    """The account in the body of an audit entry."""
    return {"id": row.id, "username": row.username, "name": row.name}


def team_body(row: TeamRow) -> dict[str, str]:
    """The team in the body of an audit entry."""
    return {"id": row.id, "name": row.name}


def updates(before: dict[str, object], after: dict[str, object]) -> list[dict[str, object]]:
    """What changed, as audit entries tell it."""
    changed = [key for key, value in after.items() if before.get(key) != value]
    return [{"key": key, "old": before.get(key), "new": after[key], "dif": "updated"} for key in changed]


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
    check_name(name)


def check_name(name: str) -> None:
    """Raises Invalid unless a person or a team may be called so."""
    if len(name) > _NAME_LENGTH or "://" in name or not name.isprintable():
        raise Invalid(
            f"A name has at most {_NAME_LENGTH} characters, all of them visible, and holds no address.",
            code="invalid_name",
            hint="Choose another name.",
        )
