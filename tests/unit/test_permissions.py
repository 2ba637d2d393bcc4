"""The permission table and the one rule that reads it."""

from __future__ import annotations

import msgspec
import pytest

from appliance.auth.permissions import PERMISSIONS, demand
from appliance.errors import Forbidden
from appliance.model import Role, Subject

USER = Subject(kind="user", user_id="u", username="ann")
ADMIN = msgspec.structs.replace(USER, admin=True)

# Spot checks against platform model §3; the counts below catch a row that went missing.
ROWS = [
    ("user:list", Role.ADMIN, True, False),
    ("user:read", Role.ADMIN, True, True),
    ("user:edit", Role.ADMIN, False, True),
    ("team:user:remove", Role.OWNER, False, True),
    ("project:create", Role.OWNER, False, False),
    ("project:change-status", Role.OWNER, False, False),
    ("application:audit-log", Role.OWNER, True, False),
    ("project:flows:edit", Role.MEMBER, False, False),
    ("snapshot:full", Role.MEMBER, True, False),
    ("library:entry:list", Role.MEMBER, True, False),
    ("library:entry:delete", Role.MEMBER, False, False),
    ("project:log", Role.VIEWER, True, False),
    ("project:audit-log", Role.VIEWER, True, False),
    ("project:status", Role.DASHBOARD, True, False),
    ("stack:list", Role.NONE, True, False),
    ("team:create", Role.NONE, False, False),
]


@pytest.mark.parametrize(("name", "role", "read", "own"), ROWS)
def test_row(name: str, role: Role, read: bool, own: bool) -> None:
    permission = PERMISSIONS[name]
    assert (permission.role, permission.read, permission.own) == (role, read, own)


def test_the_reference_table_is_whole() -> None:
    ours = {"team:user", "team:comms", "box:status", "instance:list", "event:list", "project:check-name"}
    ours |= {f"user:token:{verb}" for verb in ("list", "create", "edit", "delete", "create-for")}
    ours |= {f"user:ssh-key:{verb}" for verb in ("list", "create", "delete", "list-for", "create-for", "delete-for")}
    ours |= {"user:ssh-session:end"}
    ours |= {f"user:invitation:{verb}" for verb in ("list", "accept", "reject")}
    ours |= {f"user:notification:{verb}" for verb in ("list", "edit", "delete")} | {"user:reset-password"}
    ours |= {"project:limits:edit", "project:shell", "project:httpToken:list"} | {
        f"backup:{verb}" for verb in ("list", "create", "edit")
    }
    ours |= {f"library:entry:{verb}" for verb in ("create", "list", "delete")}  # of its licensed edition
    count = dict.fromkeys(Role, 0)
    for permission in PERMISSIONS.values():
        if permission.name not in ours:
            count[permission.role] += 1
    assert count == {
        Role.ADMIN: 31,
        Role.OWNER: 28,
        Role.MEMBER: 11,
        Role.VIEWER: 15,
        Role.DASHBOARD: 4,
        Role.NONE: 9,
    }


@pytest.mark.parametrize(
    ("role", "may"), [(Role.NONE, False), (Role.VIEWER, False), (Role.MEMBER, False), (Role.OWNER, True)]
)
def test_membership_role_must_reach_the_permission(role: Role, may: bool) -> None:
    if may:
        demand(PERMISSIONS["project:change-status"], USER, role)
    else:
        with pytest.raises(Forbidden, match="owner") as refused:
            demand(PERMISSIONS["project:change-status"], USER, role)
        assert refused.value.code == "unauthorized"


def test_administrators_may_everything_unless_narrowed() -> None:
    demand(PERMISSIONS["project:delete"], ADMIN, Role.NONE)
    with pytest.raises(Forbidden, match="only read"):
        demand(PERMISSIONS["project:delete"], msgspec.structs.replace(ADMIN, read_only=True), Role.ADMIN)
    with pytest.raises(Forbidden, match="not good for"):
        demand(
            PERMISSIONS["project:delete"], msgspec.structs.replace(ADMIN, scopes=frozenset({"user:read"})), Role.ADMIN
        )


def test_read_only_tokens_may_read() -> None:
    demand(PERMISSIONS["project:read"], msgspec.structs.replace(USER, read_only=True), Role.VIEWER)


def test_a_token_for_some_teams_is_not_for_the_account() -> None:
    narrowed = msgspec.structs.replace(USER, team_ids=frozenset({"t"}))
    account = {name for name, permission in PERMISSIONS.items() if permission.account}
    assert {"user:edit", "user:delete", "team:create", "user:token:list", "user:invitation:accept"} <= account
    assert not {"user:read", "user:team:list", "team:user:remove", "project:edit"} & account
    for name in account:
        with pytest.raises(Forbidden, match="whole account"):
            demand(PERMISSIONS[name], narrowed, Role.ADMIN, own=True)


def test_oneself_is_allowed_where_the_star_is() -> None:
    demand(PERMISSIONS["user:read"], USER, Role.NONE, own=True)
    with pytest.raises(Forbidden):
        demand(PERMISSIONS["user:read"], USER, Role.NONE)
    with pytest.raises(Forbidden):
        demand(PERMISSIONS["user:list"], USER, Role.NONE, own=True)
