"""`weir app …`: applications."""

from __future__ import annotations

from argparse import Namespace

from appliance.schema.users import Application, Applications
from tui.cli.box import Box
from tui.cli.deletion import confirm
from tui.cli.instances import application_id
from tui.cli.session import Session, print_object, print_table, tell
from tui.cli.teams import Known, find_team, known_teams
from tui.errors import Usage
from tui.wire import decode


def list_applications(session: Session, args: Namespace) -> None:
    """Print the applications of the teams that the caller may see."""
    with session.box() as box:
        found = [(team, each) for team in known_teams(box) for each in _of(box, team)]
    if args.json:
        print_object({"count": len(found), "applications": [each for _, each in found]})
        return
    if found:
        print_table(["NAME", "TEAM", "ID", ""], [[a.name, team.slug, a.id, a.description] for team, a in found])
    else:
        print("No applications. Make one with: weir app create NAME")


def create_application(session: Session, args: Namespace) -> None:
    """Make one in a team that is named, or in the only one there is."""
    with session.box() as box:
        team = find_team(box, args.team) if args.team else _only_team(box)
        body = {"name": args.name, "teamId": team.id, "description": args.description or ""}
        answer = box.post("/applications", body)
    _tell(args, answer, "is made")


def edit_application(session: Session, args: Namespace) -> None:
    """Change what is named. Raises Usage when nothing is."""
    given = {"name": args.new_name, "description": args.description}
    body = {key: value for key, value in given.items() if value is not None}
    if not body:
        raise Usage("nothing to change is named", hint="weir app edit --help lists what can be.")
    with session.box() as box:
        answer = box.put(f"/applications/{application_id(box, args.name)}", body)
    _tell(args, answer, "is changed")


def delete_application(session: Session, args: Namespace) -> None:
    """Delete one, after its name was typed."""
    with session.box() as box:
        found = application_id(box, args.name)
        if not args.yes:
            confirm(session, args.name, "This deletes the application.")
        answer = box.delete(f"/applications/{found}")
    tell(answer, f"{args.name} is deleted", as_json=args.json)


def _of(box: Box, team: Known) -> list[Application]:
    return decode(box.get(f"/teams/{team.id}/applications"), Applications).applications


def _only_team(box: Box) -> Known:
    teams = [team for team in known_teams(box) if team.role]
    if len(teams) != 1:
        raise Usage(f"you belong to {len(teams)} teams: name one", hint="Add: --team TEAM")
    return teams[0]


def _tell(args: Namespace, answer: bytes, what: str) -> None:
    tell(answer, f"{decode(answer, Application).name} {what}", as_json=args.json)
