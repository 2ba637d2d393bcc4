"""`weir instance flows` and `weir audit`: what the box has on record."""

from __future__ import annotations

from typing import Any

import msgspec

from appliance.schema.audit import AuditEntry, AuditPage
from appliance.schema.users import UserTeams
from tui.cli.box import Box
from tui.cli.instances import resolve
from tui.cli.session import Session, instance_path, print_json, print_table
from tui.text import visible
from tui.wire import decode


def show_flows(session: Session, name: str, *, as_json: bool) -> None:
    """Print the flows in the database: a list that Node-RED imports; with --json the API's object around it."""
    with session.box() as box:
        answer = box.get(f"{instance_path(resolve(box, name).id)}/flows")
    if as_json:
        print_json(answer)
        return
    print_json(msgspec.json.encode(msgspec.json.decode(answer)["flows"]))


def show_audit(session: Session, name: str, *, count: int, as_json: bool) -> None:
    """Print who did what, newest first: of an instance, or without a name of the first team the caller is in."""
    with session.box() as box:
        answer = box.get(f"{_audited(box, name)}/audit-log?limit={count}")
    if as_json:
        print_json(answer)
        return
    rows = [_row(entry) for entry in decode(answer, AuditPage).log]
    if rows:
        print_table(["TIME", "WHO", "EVENT", "ABOUT"], rows)
    else:
        print("Nothing is recorded yet.")


def _audited(box: Box, name: str) -> str:
    if name:
        return f"/projects/{resolve(box, name).id}"
    teams = decode(box.get("/user/teams"), UserTeams).teams
    return f"/teams/{teams[0].id}" if teams else "/admin"


def _row(entry: AuditEntry) -> list[str]:
    time = entry.created_at.replace("T", " ")[:19]
    return [time, visible(entry.trigger.name or entry.trigger.type), entry.event, visible(_about(entry.body))]


def _about(body: dict[str, Any]) -> str:
    """The names in a body, in a few words."""
    named = [str(value["name"]) for value in body.values() if isinstance(value, dict) and value.get("name")]
    plain = [f"{key}={value}" for key, value in body.items() if isinstance(value, str | int)]
    return ", ".join([*named, *plain])[:80]
