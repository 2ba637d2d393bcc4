"""Permissions as data: which role may do what (platform model §3). Pure.

A permission is asked for a team (of an instance, an application, …), a user, or the platform. The rule for teams is
membership role >= permission role; administrators may do everything unless their credential is narrowed.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from appliance.errors import Forbidden
from appliance.model import Role, Subject


class Permission(Struct, frozen=True):
    """`role`: the lowest that may; NONE means that any signed-in user may.

    `read`: changes nothing, so a read-only token may use it. `own`: also allowed on oneself. `account`: about the
    whole account of a person, so not for a token that is narrowed to some of his teams.
    """

    name: str
    role: Role
    read: bool = False
    own: bool = False
    account: bool = False


# Marks of the reference: "(r)" is a read permission, "*" is also allowed on oneself; ours: "@" is about the account.
_REFERENCE: dict[Role, str] = {
    Role.ADMIN: """
        user:create user:list(r) user:read*(r) user:edit*@ user:delete*@ user:team:list*(r) user:announcements:manage
        team:list(r) team:user:add template:create template:delete template:edit stack:create stack:delete stack:edit
        device:list(r) project-type:create project-type:delete project-type:edit team-type:create team-type:delete
        team-type:edit settings:edit license:read(r) license:edit invitation:list(r) platform:debug(r)
        platform:stats(r) platform:stats:token platform:expert-agent:creds platform:audit-log(r)""",
    Role.OWNER: """
        team:edit team:delete team:audit-log(r) team:device:bulk-delete team:device:bulk-edit
        team:device:provisioning-token:create team:device:provisioning-token:edit
        team:device:provisioning-token:list(r) team:device:provisioning-token:delete team:user:invite
        team:user:remove* team:user:change-role application:audit-log(r) application:access-control project:create
        project:delete project:transfer project:change-status project:edit project:snapshot:delete device:create
        device:delete device:edit device:change-status device:snapshot:delete snapshot:edit snapshot:delete
        snapshot:import""",
    Role.MEMBER: """
        project:edit-env project:flows:edit project:snapshot:create project:snapshot:rollback
        project:snapshot:set-target project:snapshot:export device:edit-env device:snapshot:create
        device:snapshot:set-target snapshot:full(r) snapshot:export""",
    Role.VIEWER: """
        team:user:list(r) team:search(r) team:projects:list(r) project:read(r) project:log(r) project:audit-log(r)
        project:flows:view(r) project:snapshot:list(r) project:snapshot:read(r) team:device:list(r) device:read(r)
        device:snapshot:list(r) device:snapshot:read(r) device:audit-log(r) snapshot:meta(r)""",
    Role.DASHBOARD: """
        team:read(r) team:projects:list-dashboards(r) project:status(r) project:flows:http(r)""",
    Role.NONE: """
        team:create@ template:list(r) template:read(r) stack:list(r) stack:read(r) project-type:list(r)
        project-type:read(r) team-type:list(r) team-type:read(r)""",
}

# Of its licensed edition, what this box has too.
_SHARED: dict[Role, str] = {
    Role.MEMBER: "library:entry:create library:entry:list(r) library:entry:delete",
}

# What Node-RED's own token is good for in the library of its team (platform model §2, implicit scopes).
OF_EDITORS = frozenset({"library:entry:create", "library:entry:list"})

# Where the reference asks in code ("own check") or has no such route. `team:user` is "my own role in this team".
_OURS: dict[Role, str] = {
    Role.OWNER: "project:httpToken:list(r) project:shell",
    Role.DASHBOARD: "team:user(r) team:comms",
    Role.NONE: """
        box:status(r) instance:list(r) event:list(r) project:check-name(r) user:token:list@(r) user:token:create@
        user:token:edit@ user:token:delete@ user:invitation:list@(r) user:invitation:accept@ user:invitation:reject@
        user:notification:list@(r) user:notification:edit@ user:notification:delete@
        user:ssh-key:list@(r) user:ssh-key:create@ user:ssh-key:delete@ user:ssh-session:end@""",
    # Only the person at the box itself, not a token, gets the first of these (services ask once more).
    Role.ADMIN: """
        project:limits:edit
        user:reset-password user:token:create-for user:ssh-key:list-for(r) user:ssh-key:create-for
        user:ssh-key:delete-for backup:list(r) backup:create backup:edit""",
}


def _parse(tables: Iterable[dict[Role, str]]) -> Iterable[Permission]:
    for table in tables:
        for role, words in table.items():
            for word in words.split():
                name = word.removesuffix("(r)").rstrip("*@")
                yield Permission(name, role, read=word.endswith("(r)"), own="*" in word, account="@" in word)


PERMISSIONS: dict[str, Permission] = {p.name: p for p in _parse((_REFERENCE, _SHARED, _OURS))}


_HINTS = {Role.ADMIN: "Ask an administrator of this box."}


def demand(permission: Permission, subject: Subject, role: Role, *, own: bool = False) -> None:
    """Return if `subject`, who has `role` in the team in question, may; else raise Forbidden saying what is missing.

    `own`: the thing asked about is the subject himself.
    """
    demand_scope(permission, subject)
    if permission.account and subject.team_ids is not None:
        raise Forbidden(f"this token is for some teams, '{permission.name}' is about the whole account")
    if subject.read_only and not permission.read:
        raise Forbidden(f"this token may only read, '{permission.name}' changes something")
    if role < permission.role and not subject.admin and not (own and permission.own):
        raise Forbidden(
            f"'{permission.name}' needs the role {permission.role.name.lower()}, you have {role.name.lower()}",
            hint=_HINTS.get(permission.role, "Ask an owner of the team for a higher role."),
        )


def demand_scope(permission: Permission, subject: Subject) -> None:
    """Raise Forbidden when the credential was made for other purposes, whatever its owner may do."""
    if subject.scopes is not None and permission.name not in subject.scopes:
        raise Forbidden(
            f"this token is not good for '{permission.name}'", hint="Use a token that was made for this purpose."
        )


def granted(subject: Subject) -> dict[str, int]:
    """The lowest role by permission, of the permissions that the credential itself does not rule out."""
    return {
        each.name: int(each.role)
        for each in PERMISSIONS.values()
        if (subject.scopes is None or each.name in subject.scopes)
        and (each.read or not subject.read_only)
        and not (each.account and subject.team_ids is not None)
    }
