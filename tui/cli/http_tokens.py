"""`weir http-token …`: tokens that programs use the HTTP endpoints of flows with."""

from __future__ import annotations

import sys
from argparse import Namespace
from datetime import datetime

from appliance.schema.endpoints import HttpToken, HttpTokenCreated, HttpTokens
from tui.cli.box import Box
from tui.cli.deletion import confirm
from tui.cli.instances import resolve
from tui.cli.session import Session, print_json, print_table, say, tell
from tui.errors import Refused, Usage
from tui.text import visible
from tui.wire import decode


def create(session: Session, args: Namespace) -> None:
    """Make a token and print it, this once."""
    body = {"name": args.name, "expiresAt": _milliseconds(args.expires)}
    with session.box() as box:
        found = resolve(box, args.instance)
        answer = box.post(f"/projects/{found.id}/httpTokens", body)
    if args.json:
        print_json(answer)
        return
    print(decode(answer, HttpTokenCreated).token)
    sys.stdout.flush()
    say("It is shown this once. Programs send it as 'Authorization: Bearer …'.")


def list_all(session: Session, args: Namespace) -> None:
    """Print an instance's tokens, without their secrets."""
    with session.box() as box:
        answer = box.get(f"/projects/{resolve(box, args.instance).id}/httpTokens")
    if args.json:
        print_json(answer)
        return
    rows = [[each.id, each.name, each.expires_at or "never"] for each in decode(answer, HttpTokens).tokens]
    if rows:
        print_table(["ID", "NAME", "ENDS"], rows)
    else:
        print(f"No tokens yet. Make one with: weir http-token create {visible(args.instance)} NAME")


def edit(session: Session, args: Namespace) -> None:
    """Rename a token, or let it end at another time."""
    body: dict[str, object] = {} if args.rename is None else {"name": args.rename}
    if args.expires is not None:
        body["expiresAt"] = _milliseconds(args.expires)
    if not body:
        raise Usage("nothing to change", hint="Give --rename, --expires or both.")
    with session.box() as box:
        path, found = _find(box, args)
        answer = box.put(f"{path}/{found.id}", body)
    _done(answer, args, f"{decode(answer, HttpToken).name} is changed")


def delete(session: Session, args: Namespace) -> None:
    """End a token."""
    with session.box() as box:
        path, found = _find(box, args)
        if not args.yes:
            confirm(session, found.name, f"Programs with the token '{visible(found.name)}' are refused from now on.")
        box.delete(f"{path}/{found.id}")
    _done(b"{}", args, f"{found.name} has ended; the instance notices within half a minute")


def _find(box: Box, args: Namespace) -> tuple[str, HttpToken]:
    path = f"/projects/{resolve(box, args.instance).id}/httpTokens"
    for each in decode(box.get(path), HttpTokens).tokens:
        if args.name in (each.id, each.name):
            return path, each
    hint = f"weir http-token list {args.instance} shows them."
    raise Refused(f"there is no HTTP token '{args.name}'", status=404, hint=hint)


def _milliseconds(ends: datetime | str | None) -> int | None:
    return int(ends.timestamp() * 1000) if isinstance(ends, datetime) else None


def _done(answer: bytes, args: Namespace, said: str) -> None:
    tell(answer, said, as_json=args.json)
