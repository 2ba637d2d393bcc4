"""`weir library …` and `weir search`: what the editors of a team share, and finding things."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec

from appliance.schema.catalogue import SearchResults
from appliance.schema.library import Deleted, FullEntry, LibraryEntries, LibraryEntry, Moved
from tui.cli.box import Box
from tui.cli.deletion import confirm
from tui.cli.session import Session, print_json, print_object, print_table, say, tell
from tui.cli.teams import Known, find_team, known_teams
from tui.errors import BoxError, Usage
from tui.text import json_visible
from tui.wire import decode


def list_all(session: Session, args: Namespace) -> None:
    """Print the entries by path."""
    with session.box() as box:
        found = _every(box, _team(box, args.team), args.type, args.search)
    if args.json:
        print_object({"count": len(found), "entries": found})
    elif found:
        rows = [[each.name, each.type, str(each.bytes), each.updated_at.replace("T", " ")[:19]] for each in found]
        print_table(["PATH", "TYPE", "BYTES", "CHANGED"], rows, right=frozenset({2}))
    else:
        print("No entries. Keep one with: weir library put PATH FILE")


def get(session: Session, args: Namespace) -> None:
    """Print the body, or write it to a file that only its owner can read; with --json the API's object."""
    with session.box() as box:
        answer = box.get(f"{_path(_team(box, args.team))}/entry?{_query(args.entry, args.type)}")
    found = decode(answer, FullEntry)
    if args.json and args.out in ("", "-"):
        print_json(answer)
        return
    text = found.body if isinstance(found.body, str) else msgspec.json.format(_json(found.body), indent=2).decode()
    text = msgspec.json.format(answer, indent=2).decode() if args.json else text
    whole = text if text.endswith("\n") else f"{text}\n"
    if args.out in ("", "-"):
        # To a program the very bytes; a person's terminal must not be spoken to by an entry.
        sys.stdout.write(json_visible(whole) if sys.stdout.isatty() else whole)
        return
    _write(args.out, whole)
    say(f"{found.name} is in {args.out}")


def put(session: Session, args: Namespace) -> None:
    """Keep a file as an entry."""
    text = _read(args.file)
    kind = args.type or ("flows" if args.file.endswith(".json") else "functions")
    body: Any = text
    if kind == "flows":
        try:
            body = msgspec.Raw(text.encode())
            msgspec.json.decode(body, type=list[Any])
        except (msgspec.MsgspecError, RecursionError) as error:
            raise Usage(f"{args.file} is no list of nodes: {error}", hint="Export it from Node-RED as JSON.") from error
    with session.box() as box:
        answer = box.post(_path(_team(box, args.team)), {"name": args.entry, "type": kind, "body": body})
    tell(answer, f"{args.entry} is kept as {kind}", as_json=args.json)


def move(session: Session, args: Namespace) -> None:
    """Give it another path."""
    body = {"name": args.entry, "to": args.to, "type": args.type or None}
    with session.box() as box:
        answer = box.put(_path(_team(box, args.team)), body)
    count = decode(answer, Moved).count
    tell(answer, f"{args.entry} is {args.to} now" + (f", {count} entries" if count > 1 else ""), as_json=args.json)


def delete(session: Session, args: Namespace) -> None:
    """Delete it, after its path was typed."""
    with session.box() as box:
        team = _team(box, args.team)
        if not args.yes:
            confirm(session, args.entry, f"This deletes it from the library of {team.slug}, a folder with all in it.")
        answer = box.delete(f"{_path(team)}?{_query(args.entry, args.type)}")
    count = decode(answer, Deleted).delete_count
    tell(answer, f"{args.entry} is deleted" + (f", {count} entries" if count > 1 else ""), as_json=args.json)


def search(session: Session, args: Namespace) -> None:
    """Print what is found in one team, or in all that the caller belongs to."""
    with session.box() as box:
        teams = [find_team(box, args.team)] if args.team else [team for team in known_teams(box) if team.role]
        found = [
            each
            for team in teams
            for each in decode(
                box.get(f"/search?{urlencode({'team': team.id, 'query': args.text})}"), SearchResults
            ).results
        ]
    if args.json:
        print_object({"count": len(found), "results": found})
    elif found:
        rows = [[each.object, each.name, each.meta.state if each.meta else "", each.url or ""] for each in found]
        print_table(["WHAT", "NAME", "STATE", "ADDRESS"], rows)
    else:
        print(f"Nothing is called so: {json_visible(args.text)}")


def _team(box: Box, wanted: str) -> Known:
    if wanted:
        return find_team(box, wanted)
    teams = [team for team in known_teams(box) if team.role]
    if len(teams) != 1:
        raise Usage(f"you belong to {len(teams)} teams: name one", hint="Add: --team TEAM")
    return teams[0]


def _path(team: Known) -> str:
    return f"/teams/{team.id}/library"


def _query(name: str, kind: str) -> str:
    return urlencode({"name": name, **({"type": kind} if kind else {})})


def _every(box: Box, team: Known, kind: str, words: str) -> list[LibraryEntry]:
    found: list[LibraryEntry] = []
    query = {"limit": "1000", **({"type": kind} if kind else {}), **({"query": words} if words else {})}
    while True:
        page = decode(box.get(f"{_path(team)}?{urlencode(query)}"), LibraryEntries)
        found += page.entries
        if page.meta.next_cursor is None:
            return found
        query["cursor"] = page.meta.next_cursor


def _json(body: Any) -> bytes:
    return msgspec.json.encode(body)


def _read(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Usage(f"cannot read {file}: {error}", hint="Name a readable text file.") from error


def _write(file: str, text: str) -> None:
    try:
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(fd, "w", encoding="utf-8") as stream:  # noqa: PTH123 - a descriptor, so that only its owner can read it
            stream.write(text)
    except OSError as error:
        raise BoxError(f"cannot write {file}: {error.strerror or error}", hint="Give another file.") from error
