"""The part of the key table that is about the platform: people, what instances are made of, the box itself."""

from __future__ import annotations

from tui.action import Action

TEAMS = "teams"
MEMBERS = "members"
INVITATIONS = "invitations"
USERS = "users"
TOKENS = "tokens"
HTTP_TOKENS = "httptokens"
SSH_KEYS = "sshkeys"
APPLICATIONS = "applications"
STACKS = "stacks"
TEMPLATES = "templates"
TEMPLATE = "template"
TYPES = "types"
TEAM_TYPES = "teamtypes"
AUDIT = "audit"
PROBLEMS = "problems"
KEPT = "kept"
BACKUPS = "backups"
HOST = "host"
PLATFORM = "platform"
BOXES = "boxes"
SCOPES = {
    TEAMS: "Teams",
    MEMBERS: "Members of a team",
    INVITATIONS: "Invitations",
    USERS: "Users",
    TOKENS: "Tokens of your own",
    HTTP_TOKENS: "HTTP tokens of an instance",
    SSH_KEYS: "Keys for SSH",
    APPLICATIONS: "Applications",
    STACKS: "Stacks",
    TEMPLATES: "Templates",
    TEMPLATE: "A template",
    TYPES: "Types of instances",
    TEAM_TYPES: "Types of teams",
    AUDIT: "Audit",
    PROBLEMS: "Problems",
    KEPT: "Kept deploys",
    BACKUPS: "Backups",
    HOST: "The host",
    PLATFORM: "Settings of the platform",
    BOXES: "Known boxes",
}


def _look(
    scope: str, id_: str, key: str, text: str, permission: str = "", *, label: str = "", command: str = ""
) -> Action:
    """Something that only shows."""
    keys, shown_key = (("enter", "d"), "Enter") if key == "enter" else ((key,), key)
    word = command or ("all" if id_ == "show" else id_)
    return Action(id_, keys, shown_key, label or id_, scope, text, word, shown=True, permission=permission)


def _do(
    scope: str, id_: str, key: str, text: str, permission: str = "", *, label: str = "", command: str = ""
) -> Action:
    """Something that changes the box."""
    keys, shown_key = (("enter", "E"), "Enter") if key == "enter" else ((key,), key)
    word = command or ("new" if id_ == "create" else id_)
    return Action(
        id_, keys, shown_key, label or id_, scope, text, word, shown=True, changes=True, permission=permission
    )


# Nobody but administrators may do what needs this; some changes have no permission of their own.
_ADMIN = "settings:edit"

_PEOPLE = (
    _look(TEAMS, "members", "enter", "who belongs to the team", "team:user:list", command="open"),
    _look(
        TEAMS,
        "invitations",
        "i",
        "who is invited into the team",
        "team:user:invite",
        label="invited",
        command="invited",
    ),
    _look(TEAMS, "applications", "a", "the team's applications", "team:read", label="apps", command="its-apps"),
    _look(TEAMS, "audit", "A", "what happened in the team", "team:audit-log", command="its-audit"),
    _do(TEAMS, "create", "c", "make a team that you own", "team:create", label="new"),
    _do(TEAMS, "edit", "E", "change its name, slug or type", "team:edit"),
    _do(TEAMS, "suspend", "u", "stop the team with its instances, or let it go on", _ADMIN, command="halt"),
    _do(TEAMS, "remove", "x", "delete the team, after its slug was typed", "team:delete", label="delete"),
    _do(MEMBERS, "role", "r", "give the member another role", "team:user:change-role"),
    _do(MEMBERS, "invite", "i", "invite people who have an account", "team:user:invite"),
    _do(MEMBERS, "add", "a", "make somebody a member without asking him", "team:user:add"),
    _do(MEMBERS, "remove", "x", "end the membership, after the name was typed", "team:user:remove"),
    _do(MEMBERS, "depart", "D", "leave the team yourself, after its slug was typed", label="depart"),
    _do(INVITATIONS, "accept", "A", "become a member of the team that invited you"),
    _do(INVITATIONS, "reject", "R", "decline an invitation for you"),
    _do(INVITATIONS, "invite", "i", "invite people into the team", "team:user:invite"),
    _do(INVITATIONS, "resend", "r", "tell of the invitation once more; it begins anew", "team:user:invite"),
    _do(INVITATIONS, "withdraw", "x", "withdraw the invitation", "team:user:invite"),
    _look(USERS, "show", "enter", "the account, and the teams it belongs to", label="show"),
    _look(USERS, "keys", "K", "the public keys with which the user comes over SSH", "user:ssh-key:list-for"),
    _do(USERS, "create", "c", "make an account; its user sets the password himself", "user:create", label="new"),
    _do(USERS, "edit", "E", "change the name, user name or e-mail address", "user:edit"),
    _do(USERS, "suspend", "u", "keep the user out at once, or let him in again", _ADMIN, command="keep-out"),
    _do(USERS, "admin", "A", "make an administrator of the user, or a plain user again", _ADMIN),
    _do(USERS, "password", "p", "a code with which the user sets a new password", "user:reset-password"),
    _do(USERS, "remove", "x", "delete the account, after its name was typed", "user:delete", label="delete"),
    _do(TOKENS, "create", "c", "make a token; it is shown once", "user:token:create", label="new"),
    _do(TOKENS, "edit", "E", "narrow or widen it; in force at once", "user:token:edit"),
    _do(TOKENS, "remove", "x", "end the token, after its name was typed", "user:token:delete", label="revoke"),
    _look(SSH_KEYS, "show", "enter", "all about the key"),
    _do(SSH_KEYS, "create", "c", "keep a public key: its line of a .pub file", "user:ssh-key:create", label="add"),
    _do(SSH_KEYS, "remove", "x", "take the key back, after its name was typed", "user:ssh-key:delete"),
    _do(HTTP_TOKENS, "create", "c", "make a token for programs; it is shown once", "project:edit", label="new"),
    _do(HTTP_TOKENS, "edit", "E", "rename it, or let it end at another time", "project:edit"),
    _do(HTTP_TOKENS, "remove", "x", "end the token, after its name was typed", "project:edit", label="revoke"),
)


def _catalogue(scope: str, noun: str, permission: str, unless: str) -> tuple[Action, ...]:
    """What can be done in each list of what instances are made of."""
    offer = f"offer the {noun} for new {'teams' if scope == TEAM_TYPES else 'instances'}, or not any more"
    return (
        _look(scope, "show", "enter", f"all about the {noun}"),
        _do(scope, "create", "c", f"make a {noun}", f"{permission}:create", label="new"),
        _do(scope, "edit", "E", f"change the {noun}", f"{permission}:edit"),
        _do(scope, "offer", "o", offer, f"{permission}:edit"),
        _do(
            scope,
            "remove",
            "x",
            f"delete a {noun} that {unless}, after its name was typed",
            f"{permission}:delete",
            label="delete",
        ),
    )


_MADE_OF = (
    _do(APPLICATIONS, "create", "c", "make an application in a team", "project:create", label="new"),
    _do(APPLICATIONS, "edit", "E", "change what it is called", "project:edit"),
    _do(APPLICATIONS, "text", "e", "edit its description", "project:edit", label="text"),
    _do(APPLICATIONS, "remove", "x", "delete it when it has no instances any more", "project:delete", label="delete"),
    *_catalogue(STACKS, "stack", "stack", "no instance runs on"),
    *_catalogue(TEMPLATES, "template", "template", "no instance is made from"),
    *_catalogue(TYPES, "type of instances", "project-type", "no instance is of"),
    *_catalogue(TEAM_TYPES, "type of teams", "team-type", "no team is of"),
    _do(TEMPLATE, "set", "enter", "change the setting; empty means the default", "template:edit"),
    _do(TEMPLATE, "lock", "o", "let instances change the setting, or not", "template:edit"),
)
_BOX = (
    _look(AUDIT, "show", "enter", "all that the entry says"),
    _look(AUDIT, "event", "v", "entries of these events only", label="event"),
    _look(AUDIT, "who", "w", "what this user did", label="who"),
    _look(AUDIT, "since", "t", "back to this time only: 14:05, 2026-11-23, 3d", label="since"),
    _look(AUDIT, "scope", "T", "another team's, or the platform's", label="team", command="of"),
    _look(AUDIT, "older", "o", "older entries", label="older"),
    Action("save", ("s",), "s", "save", AUDIT, "write what is asked for into a CSV file", "save", True, needs="files"),
    _look(PROBLEMS, "show", "enter", "all about the problem, with what can be done"),
    _do(PROBLEMS, "repair", "f", "do what is offered, after it was said what"),
    Action("instance", ("i",), "i", "instance", PROBLEMS, "go to the instance", shown=True, place="show"),
    Action("logs", ("l",), "l", "logs", PROBLEMS, "the log of the instance", shown=True, place="logs"),
    _look(KEPT, "show", "enter", "all about the kept deploy"),
    _do(KEPT, "restore", "R", "make it the flows of the instance, and restart", "project:flows:edit"),
    _do(KEPT, "discard", "x", "forget it for good, after its name was typed", "project:flows:edit"),
    _look(BACKUPS, "show", "enter", "all about the backup, and how to put it back"),
    _do(BACKUPS, "create", "c", "make a backup of the whole box", "backup:create", label="new"),
    _do(BACKUPS, "verify", "v", "prove it: restore it beside the box and start what is in it", "backup:create"),
    _do(BACKUPS, "schedule", "E", "when backups are made by themselves, and where they go", "backup:edit"),
    _do(BACKUPS, "remove", "x", "delete it with its file, after its id was typed", "backup:edit", label="delete"),
    _do(
        HOST,
        "name",
        "a",
        "let browsers reach the box under a further name",
        _ADMIN,
        label="add name",
        command="add-name",
    ),
    _do(HOST, "remove", "x", "take back a name that was added", _ADMIN, label="remove name"),
    _do(PLATFORM, "set", "enter", "change the setting; default takes a change back", "settings:edit", label="change"),
    _look(BOXES, "enter", "enter", "go to the box", label="go", command="connect"),
    _look(BOXES, "add", "c", "add a box: its name, its address, its token's file", label="add"),
    _look(BOXES, "forget", "x", "forget the box; nothing happens to it", label="forget"),
)
ACTIONS = (*_PEOPLE, *_MADE_OF, *_BOX)
