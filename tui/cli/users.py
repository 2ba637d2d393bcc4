"""`weir user …`: accounts of people."""

from __future__ import annotations

import secrets
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from appliance.schema.users import OwnPermissions, Recovery, User, Users, UserTeams
from tui.cli.box import Box
from tui.cli.deletion import confirm
from tui.cli.session import Session, print_json, print_table, say, tell, warn
from tui.cli.teams import find_team, role_name
from tui.errors import Refused, Usage
from tui.text import visible
from tui.wire import decode


def list_users(session: Session, args: Namespace) -> None:
    """Print all accounts, page by page."""
    with session.box() as box:
        users = list(every(box, args.search))
    if args.json:
        print_json(msgspec.json.encode({"count": len(users), "users": users}))
        return
    rows = [[each.username, each.name, each.email, _marks(each)] for each in users]
    if rows:
        print_table(["USER", "NAME", "E-MAIL", ""], rows)
    else:
        print("Nobody is found.")


def every(box: Box, words: str = "") -> Iterator[User]:
    """All accounts whose names contain `words`."""
    query = {"query": words} if words else {}
    while True:
        page = decode(box.get(f"/users?{urlencode(query)}"), Users)
        yield from page.users
        if page.meta.next_cursor is None:
            return
        query["cursor"] = page.meta.next_cursor


def find_user(box: Box, wanted: str) -> User:
    """By user name, e-mail address or id. Raises Refused when there is none."""
    if wanted in ("", ".", ".."):  # as a path these would mean something else
        raise Refused(f"there is no user '{wanted}'", status=404, hint="weir user list shows them.")
    return decode(box.get(f"/users/{quote(wanted, safe='')}"), User)


def show_user(session: Session, args: Namespace) -> None:
    """Print one account and its teams."""
    with session.box() as box:
        found = find_user(box, args.name)
        teams = decode(box.get(f"/users/{found.id}/teams"), UserTeams).teams
    if args.json:
        print_json(msgspec.json.encode(found))
        return
    facts = [
        ("user", found.username),
        ("name", found.name),
        ("e-mail", found.email),
        ("id", found.id),
        ("rights", _marks(found) or "a plain user"),
        ("created", found.createdAt),
        ("teams", ", ".join(f"{team.name} ({role_name(team.role)})" for team in teams) or "none"),
    ]
    for label, value in facts:
        print(f"{label:<9} {visible(value)}")


def show_rights(session: Session, args: Namespace) -> None:
    """Print the caller's role by team; with --json every permission with the role that it needs."""
    with session.box() as box:
        answer = box.get("/user/permissions")
        teams = decode(box.get("/user/teams"), UserTeams).teams
    if args.json:
        print_json(answer)
        return
    found = decode(answer, OwnPermissions)
    if found.admin:
        print("You are an administrator: you may do everything on this box.")
    for team in teams:
        print(f"{visible(team.name)}: {role_name(found.teams.get(team.id, team.role))}")
    if not found.admin and not teams:
        print("You belong to no team. Ask an administrator of this box.")


def create_user(session: Session, args: Namespace) -> None:
    """Make an account. Without a password file nobody but its user will ever know its password."""
    password = _password(args.password_file) if args.password_file else secrets.token_urlsafe(24)
    body = {
        "username": args.name,
        "name": args.full_name or args.name,
        "email": args.email or "",
        "password": password,
        "isAdmin": args.admin,
        "createDefaultTeam": args.own_team,
    }
    with session.box() as box:
        team = find_team(box, args.team) if args.team else None
        answer = box.post("/users", body)
        made = decode(answer, User)
        if team is not None:
            box.post(f"/teams/{team.id}/members", {"user": made.id, "role": args.role})
        recovery = None if args.password_file else _recovery(box, made)
    if args.json:
        print_json(_with_recovery(answer, recovery))
        return
    print(f"{visible(made.username)} has an account")
    if recovery is not None:
        _tell(recovery)


def _recovery(box: Box, made: User) -> Recovery | None:
    try:
        return decode(box.post(f"/users/{made.id}/reset-password"), Recovery)
    except Refused as error:
        warn(f"the account is made, but not the code for its password: {error.message}", error.hint)
        return None


def _with_recovery(answer: bytes, recovery: Recovery | None) -> bytes:
    """The account as the API shows it, with the code beside."""
    document = msgspec.json.decode(answer)
    return msgspec.json.encode({**document, "recovery": recovery} if recovery else document)


def edit_user(session: Session, args: Namespace) -> None:
    """Change what is named. Raises Usage when nothing is."""
    given = {"name": args.full_name, "email": args.email, "username": args.username, "admin": args.admin}
    body: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    if args.expire_password:
        body["password_expired"] = True
    if not body:
        raise Usage("nothing to change is named", hint="weir user edit --help lists what can be.")
    _change(session, args, body, "is changed")


def suspend_user(session: Session, args: Namespace, *, suspended: bool) -> None:
    """Keep somebody out, or let him in again."""
    _change(session, args, {"suspended": suspended}, "is kept out" if suspended else "may log in again")


def _change(session: Session, args: Namespace, body: dict[str, Any], said: str) -> None:
    with session.box() as box:
        found = find_user(box, args.name)
        answer = box.put(f"/users/{found.id}", body)
    tell(answer, f"{decode(answer, User).username} {said}", as_json=args.json)


def delete_user(session: Session, args: Namespace) -> None:
    """Delete an account, after its name was typed."""
    with session.box() as box:
        found = find_user(box, args.name)
        if not args.yes:
            confirm(session, found.username, "This deletes the account with its tokens and memberships.")
        answer = box.delete(f"/users/{found.id}")
    tell(answer, f"{found.username} is deleted", as_json=args.json)


def reset_password(session: Session, args: Namespace) -> None:
    """Print a code, and where it is typed."""
    with session.box() as box:
        found = find_user(box, args.name)
        answer = box.post(f"/users/{found.id}/reset-password")
    if args.json:
        print_json(answer)
    else:
        _tell(decode(answer, Recovery))


def _tell(recovery: Recovery) -> None:
    say(f"{recovery.user.username} sets a password with this code, once, until {recovery.expires_at[:16]} UTC, at")
    say(f"  {recovery.url}")
    print(visible(recovery.token))


def _password(file: str) -> str:
    """The first line of a file, `-` for standard input: an argument could be read by everyone on the machine."""
    try:
        text = sys.stdin.readline() if file == "-" else Path(file).read_text("utf-8").partition("\n")[0]
    except (OSError, UnicodeDecodeError) as error:
        raise Usage(f"cannot read the password from {file}: {error}") from error
    if not text.rstrip("\r\n"):
        raise Usage(f"there is no password in {file}", hint="Write it into the first line.")
    return text.rstrip("\r\n")


def _marks(user: User) -> str:
    marks = (("administrator", user.admin), ("suspended", user.suspended), ("password expired", user.password_expired))
    return ", ".join(word for word, holds in marks if holds)
