"""`weir team …`: teams."""

from __future__ import annotations

from argparse import Namespace
from typing import Any
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from appliance.schema.team_types import TeamTypes
from appliance.schema.users import Team, Teams, UserTeams
from tui.cli.box import Box
from tui.cli.deletion import confirm
from tui.cli.people_options import ROLES
from tui.cli.session import Session, print_json, print_table, tell
from tui.errors import Refused, Usage
from tui.text import visible
from tui.wire import decode

NAMES = {number: name for name, number in ROLES.items()}


class Known(Struct, frozen=True):
    """A team that the caller may see; `role` is his own there, 0 where he is no member."""

    id: str
    name: str
    slug: str
    suspended: bool
    instances: int
    members: int
    role: int = 0


def known_teams(box: Box, words: str = "") -> list[Known]:
    """The caller's teams, and for administrators all others."""
    mine = [
        Known(each.id, each.name, each.slug, each.suspended, each.instance_count, each.member_count, each.role)
        for each in decode(box.get("/user/teams"), UserTeams).teams
    ]
    found = {team.id: team for team in mine}
    try:
        for each in _every(box):
            found.setdefault(
                each.id, Known(each.id, each.name, each.slug, each.suspended, each.instance_count, each.member_count)
            )
    except Refused as error:
        if error.status != 403:
            raise
    return [team for team in found.values() if words.lower() in team.name.lower() or words.lower() in team.slug]


def _every(box: Box) -> list[Team]:
    found: list[Team] = []
    query: dict[str, str] = {}
    while True:
        page = decode(box.get(f"/teams?{urlencode(query)}"), Teams)
        found += page.teams
        if page.meta.next_cursor is None:
            return found
        query["cursor"] = page.meta.next_cursor


def find_team(box: Box, wanted: str) -> Known:
    """By slug, id or name. Raises Refused when there is none, or more than one of that name."""
    teams = known_teams(box)
    exact = [team for team in teams if wanted in (team.slug, team.id)]
    found = exact or [team for team in teams if team.name == wanted]
    if len(found) == 1:
        return found[0]
    why = f"{len(found)} teams are" if found else "no team is"
    slugs = ", ".join(team.slug for team in teams[:20]) or "none"
    raise Refused(f"{why} called '{wanted}'", status=404, hint=f"There are: {slugs}. A slug is never ambiguous.")


def list_teams(session: Session, args: Namespace) -> None:
    """Print the teams that the caller may see."""
    with session.box() as box:
        teams = known_teams(box, args.search)
    if args.json:
        print_json(msgspec.json.encode({"count": len(teams), "teams": teams}))
        return
    rows = [
        [team.slug, team.name, role_name(team.role), str(team.members), str(team.instances), _mark(team.suspended)]
        for team in teams
    ]
    if rows:
        print_table(["SLUG", "NAME", "YOU ARE", "MEMBERS", "INSTANCES", ""], rows, right=frozenset({3, 4}))
    else:
        print("No teams. Make one with: weir team create NAME")


def show_team(session: Session, args: Namespace) -> None:
    """Print one team."""
    with session.box() as box:
        answer = box.get(f"/teams/{find_team(box, args.team).id}")
    if args.json:
        print_json(answer)
        return
    team = decode(answer, Team)
    facts = [
        ("name", team.name),
        ("slug", team.slug),
        ("id", team.id),
        ("type", team.type.name if team.type else ""),
        ("state", _mark(team.suspended) or "active"),
        ("members", str(team.member_count)),
        ("instances", str(team.instance_count)),
        ("created", team.created_at),
    ]
    for label, value in facts:
        print(f"{label:<10} {visible(value)}")


def create_team(session: Session, args: Namespace) -> None:
    """Make a team that the caller owns."""
    with session.box() as box:
        body = {"name": args.name, "slug": args.slug, "type": _type_id(box, args.type) if args.type else ""}
        answer = box.post("/teams", body)
    made = decode(answer, Team)
    tell(answer, f"{made.name} is made; its slug is {made.slug}", as_json=args.json)


def edit_team(session: Session, args: Namespace) -> None:
    """Change what is named. Raises Usage when nothing is."""
    given = {"name": args.name, "slug": args.slug, "suspended": args.suspended}
    body: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    if not body and args.type is None:
        raise Usage("nothing to change is named", hint="weir team edit --help lists what can be.")
    with session.box() as box:
        team = find_team(box, args.team)
        if args.type is not None:
            body["type"] = _type_id(box, args.type)
        answer = box.put(f"/teams/{team.id}", body)
    if args.json:
        print_json(answer)
    else:
        said = {
            True: "is suspended, with its instances",
            False: "goes on; start its instances again",
            None: "is changed",
        }
        print(f"{visible(decode(answer, Team).name)} {said[args.suspended]}")


def delete_team(session: Session, args: Namespace) -> None:
    """Delete a team, after its slug was typed."""
    with session.box() as box:
        team = find_team(box, args.team)
        if not args.yes:
            confirm(session, team.slug, "This deletes the team with its applications and memberships.")
        answer = box.delete(f"/teams/{team.id}")
    tell(answer, f"{team.name} is deleted", as_json=args.json)


def role_name(role: int) -> str:
    """A role in words."""
    return NAMES.get(role, "-" if role == 0 else str(role))


def _type_id(box: Box, wanted: str) -> str:
    types = decode(box.get("/team-types?filter=all"), TeamTypes).types
    for each in types:
        if wanted in (each.id, each.name):
            return each.id
    names = ", ".join(each.name for each in types)
    raise Refused(f"there is no type of teams '{wanted}'", status=404, hint=f"There are: {names}.")


def _mark(suspended: bool) -> str:
    return "suspended" if suspended else ""
