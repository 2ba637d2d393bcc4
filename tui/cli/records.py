"""`weir instance flows` and `weir audit`: what the box has on record."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import Any
from urllib.parse import urlencode

import msgspec

from appliance.schema.audit import AuditEntry, AuditPage
from appliance.schema.users import UserTeams
from tui.cli.box import Box
from tui.cli.instances import resolve
from tui.cli.session import Session, instance_path, print_json, print_table
from tui.cli.teams import find_team
from tui.errors import Usage
from tui.text import json_visible, visible
from tui.wire import decode


def show_flows(session: Session, name: str, *, as_json: bool) -> None:
    """Print the flows in the database: a list that Node-RED imports; with --json the API's object around it."""
    with session.box() as box:
        answer = box.get(f"{instance_path(resolve(box, name).id)}/flows")
    if as_json:
        print_json(answer)
        return
    print_json(msgspec.json.encode(msgspec.json.decode(answer)["flows"]))


def show_audit(session: Session, args: Namespace) -> None:
    """Print who did what, newest first: of an instance, a team, the platform, or the first team the caller is in."""
    if args.name and (args.instance or args.team or args.platform):
        raise Usage("an instance and something else are named", hint="Name one of them.")
    query = [("limit", str(args.lines)), *(("event", event) for event in args.event)]
    query += [("username", args.user)] if args.user else []
    with session.box() as box:
        path = f"{_audited(box, args)}/audit-log{'/export' if args.csv else ''}"
        answer = box.get(f"{path}?{urlencode(query)}")
    if args.csv:
        sys.stdout.write(json_visible(answer.decode("utf-8", "replace").replace("\r\n", "\n")))
    elif args.json:
        print_json(answer)
    elif rows := [_row(entry) for entry in decode(answer, AuditPage).log]:
        print_table(["TIME", "WHO", "EVENT", "ABOUT"], rows)
    else:
        print("Nothing is recorded yet.")


def _audited(box: Box, args: Namespace) -> str:
    if args.name or args.instance:
        return f"/projects/{resolve(box, args.name or args.instance).id}"
    if args.team:
        return f"/teams/{find_team(box, args.team).id}"
    teams = [] if args.platform else decode(box.get("/user/teams"), UserTeams).teams
    return f"/teams/{teams[0].id}" if teams else "/admin"


def _row(entry: AuditEntry) -> list[str]:
    time = entry.created_at.replace("T", " ")[:19]
    return [time, visible(entry.trigger.name or entry.trigger.type), entry.event, visible(_about(entry.body))]


def _about(body: dict[str, Any]) -> str:
    """The names in a body, in a few words."""
    named = [str(value["name"]) for value in body.values() if isinstance(value, dict) and value.get("name")]
    plain = [f"{key}={value}" for key, value in body.items() if isinstance(value, str | int)]
    return ", ".join([*named, *plain])[:80]
