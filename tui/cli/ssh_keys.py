"""`weir user key …`: public keys with which people log in over SSH."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tui.cli.session import Session
from tui.errors import Refused, Usage

if TYPE_CHECKING:
    from appliance.schema.ssh import SshKey
    from tui.cli.box import Box

GROUPS = {"user key": "public keys for logging in over SSH: ssh weir@BOX"}
LONGEST = 64 * 1024


def user_key_list(session: Session, args: Namespace) -> None:
    """Your public keys for SSH, or those of somebody else."""
    from tui.cli.session import print_json, print_table

    with session.box() as box:
        answer = box.get(_path(box, args.user))
    if args.json:
        print_json(answer)
        return
    rows = [[each.id, each.name, each.type, each.fingerprint, each.used_at or "never"] for each in _keys(answer)]
    if rows:
        print_table(["ID", "NAME", "TYPE", "FINGERPRINT", "USED"], rows)
    else:
        print("No keys. Add one with: weir user key add ~/.ssh/id_ed25519.pub")


def user_key_add(session: Session, args: Namespace) -> None:
    """Let somebody log in over SSH with a key, as himself."""
    from appliance.schema.ssh import SshKey
    from tui.cli.session import tell
    from tui.wire import decode

    text = _text(args.file)
    with session.box() as box:
        answer = box.post(_path(box, args.user), {"key": text, "name": args.name})
    made = decode(answer, SshKey)
    whose = f"{args.user} logs" if args.user else "you log"
    tell(answer, f"{made.name} is kept; {whose} in with it by: ssh weir@BOX", as_json=args.json)


def user_key_remove(session: Session, args: Namespace) -> None:
    """Take a key back; logins made with it end at once."""
    from tui.cli.deletion import confirm
    from tui.cli.session import tell

    with session.box() as box:
        path = _path(box, args.user)
        found = _find(box.get(path), args.key)
        if not args.yes:
            confirm(session, found.name, "This takes the key back, and ends the logins made with it.")
        answer = box.delete(f"{path}/{found.id}")
    tell(answer, f"{found.name} opens nothing any more", as_json=args.json)


def _path(box: Box, user: str) -> str:
    from tui.cli.users import find_user

    return f"/users/{find_user(box, user).id}/ssh-keys" if user else "/user/ssh-keys"


def _keys(answer: bytes) -> list[SshKey]:
    from appliance.schema.ssh import SshKeys
    from tui.wire import decode

    return decode(answer, SshKeys).keys


def _find(answer: bytes, wanted: str) -> SshKey:
    """By id, fingerprint or name. Raises Refused when there is none, or more than one of that name."""
    keys = _keys(answer)
    found = [each for each in keys if wanted in (each.id, each.fingerprint)]
    found = found or [each for each in keys if each.name == wanted]
    if len(found) == 1:
        return found[0]
    why = f"{len(found)} keys are" if found else "no key is"
    raise Refused(f"{why} called '{wanted}'", status=404, hint="weir user key list shows them with their ids.")


def _text(file: str) -> str:
    try:
        text = sys.stdin.read(LONGEST) if file == "-" else Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise Usage(f"cannot read the key from {file}: {why}", hint="Name a .pub file, or - for the input.") from error
    if "PRIVATE KEY" in text:  # it must not travel, not even to the box
        raise Usage(f"{file} is a private key, which is nobody's business", hint=f"Give the public one: {file}.pub")
    return text


def _user(parser: ArgumentParser) -> None:
    parser.add_argument("--user", metavar="USER", default="", help="somebody else's; for administrators")


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a public key: ~/.ssh/id_ed25519.pub; - is standard input")
    parser.add_argument("--name", metavar="NAME", default="", help="what it is called; its comment, if left out")
    _user(parser)


def _remove(parser: ArgumentParser) -> None:
    parser.add_argument("key", metavar="KEY", help="name, id or fingerprint")
    _user(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask for the name")


COMMANDS: dict[str, Callable[[Session, Namespace], None]] = {
    "user key list": user_key_list,
    "user key add": user_key_add,
    "user key remove": user_key_remove,
}
OPTIONS: dict[str, Callable[[ArgumentParser], None]] = {
    "user key list": _user,
    "user key add": _add,
    "user key remove": _remove,
}
