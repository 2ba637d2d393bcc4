"""`weir token …`: personal access tokens."""

from __future__ import annotations

from argparse import Namespace
from datetime import datetime
from typing import Any

from appliance.schema.users import TokenCreated, TokenList, TokenSummary
from tui.cli.box import Box
from tui.cli.session import Session, print_json, print_table, say, tell
from tui.cli.teams import find_team
from tui.cli.users import find_user
from tui.errors import Refused, Usage
from tui.text import visible
from tui.wire import decode


def list_tokens(session: Session, args: Namespace) -> None:
    """Print the caller's tokens."""
    with session.box() as box:
        answer = box.get("/user/tokens")
    if args.json:
        print_json(answer)
        return
    rows = [[each.id, each.name, _worth(each), each.expires_at or "never"] for each in decode(answer, TokenList).tokens]
    if rows:
        print_table(["ID", "NAME", "MAY", "ENDS"], rows)
    else:
        print("No tokens. Make one with: weir token create NAME")


def create_token(session: Session, args: Namespace) -> None:
    """Make a token; it is shown this once."""
    with session.box() as box:
        body = {"name": args.name, "scope": "", **_narrowed(box, args)}
        path = f"/users/{find_user(box, args.user).id}/tokens" if args.user else "/user/tokens"
        answer = box.post(path, body)
    if args.json:
        print_json(answer)
        return
    say("The token is shown this once; keep it in a file that only you can read:")
    print(visible(decode(answer, TokenCreated).token))


def edit_token(session: Session, args: Namespace) -> None:
    """Change what is named. Raises Usage when nothing is, or two options contradict each other."""
    for one, other in (("read_only", "read_write"), ("admin", "no_admin"), ("team", "all_teams")):
        if getattr(args, one) and getattr(args, other):
            raise Usage(f"--{one.replace('_', '-')} and --{other.replace('_', '-')} contradict each other")
    with session.box() as box:
        body = _narrowed(box, args)
        body |= {"readOnly": False} if args.read_write else {}
        body |= {"adminOptIn": False} if args.no_admin else {}
        body |= {"teamIds": None} if args.all_teams else {}
        if not body:
            raise Usage("nothing to change is named", hint="weir token edit --help lists what can be.")
        answer = box.put(f"/user/tokens/{find_token(box, args.name).id}", body)
    changed = decode(answer, TokenSummary)
    tell(
        answer,
        f"{changed.name} may now: {_worth(changed)}, until {changed.expires_at or 'it is deleted'}",
        as_json=args.json,
    )


def delete_token(session: Session, args: Namespace) -> None:
    """End a token at once."""
    with session.box() as box:
        found = find_token(box, args.name)
        box.delete(f"/user/tokens/{found.id}")
    if args.json:
        print_json(b'{"status":"okay"}')
    else:
        print(f"{visible(found.name)} is worth nothing any more")


def find_token(box: Box, wanted: str) -> TokenSummary:
    """One of the caller's, by id or name. Raises Refused when there is none, or more than one of that name."""
    tokens = decode(box.get("/user/tokens"), TokenList).tokens
    found = [each for each in tokens if each.id == wanted] or [each for each in tokens if each.name == wanted]
    if len(found) == 1:
        return found[0]
    why = f"{len(found)} tokens are" if found else "no token of yours is"
    raise Refused(f"{why} called '{wanted}'", status=404, hint="weir token list shows them with their ids.")


def _narrowed(box: Box, args: Namespace) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if args.expires is not None:
        ends = args.expires
        body["expiresAt"] = int(ends.timestamp() * 1000) if isinstance(ends, datetime) else None
    if args.read_only:
        body["readOnly"] = True
    if args.admin:
        body["adminOptIn"] = True
    if args.team:
        body["teamIds"] = [find_team(box, each).id for each in args.team]
    return body


def _worth(token: TokenSummary) -> str:
    what = "look" if token.read_only else "look and change"
    where = f" in {', '.join(team.name for team in token.teams)}" if token.teams else ""
    return f"{what}{where}{', as administrator' if token.admin_opt_in else ''}"
