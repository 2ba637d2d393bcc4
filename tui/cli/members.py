"""`weir team member …` and `weir team invitation …`."""

from __future__ import annotations

from argparse import Namespace

from appliance.schema.members import Invitations, Invited, TeamMember, TeamMembers
from tui.cli.box import Box
from tui.cli.session import Session, print_json, print_table, tell
from tui.cli.teams import find_team, role_name
from tui.errors import Refused
from tui.text import visible
from tui.wire import decode


def list_members(session: Session, args: Namespace) -> None:
    """Print who belongs to a team."""
    with session.box() as box:
        answer = box.get(f"/teams/{find_team(box, args.team).id}/members")
    if args.json:
        print_json(answer)
        return
    rows = [
        [each.username, each.name, role_name(each.role), "suspended" if each.suspended else ""]
        for each in decode(answer, TeamMembers).members
    ]
    print_table(["USER", "NAME", "ROLE", ""], rows)


def add_member(session: Session, args: Namespace) -> None:
    """Make somebody a member."""
    with session.box() as box:
        team = find_team(box, args.team)
        answer = box.post(f"/teams/{team.id}/members", {"user": args.name, "role": args.role})
    made = decode(answer, TeamMember)
    tell(answer, f"{made.username} is {role_name(made.role)} of {team.name}", as_json=args.json)


def set_role(session: Session, args: Namespace) -> None:
    """Give a member another role."""
    with session.box() as box:
        team = find_team(box, args.team)
        found = _member(box, team.id, args.name)
        answer = box.put(f"/teams/{team.id}/members/{found.id}", {"role": args.role})
    tell(answer, f"{found.username} is {role_name(args.role)} of {team.name}", as_json=args.json)


def remove_member(session: Session, args: Namespace) -> None:
    """End a membership."""
    with session.box() as box:
        team = find_team(box, args.team)
        found = _member(box, team.id, args.name)
        answer = box.delete(f"/teams/{team.id}/members/{found.id}")
    tell(answer, f"{found.username} belongs to {team.name} no longer", as_json=args.json)


def _member(box: Box, team_id: str, wanted: str) -> TeamMember:
    members = decode(box.get(f"/teams/{team_id}/members"), TeamMembers).members
    for each in members:
        if wanted in (each.id, each.username):
            return each
    raise Refused(f"'{wanted}' does not belong to the team", status=404, hint="weir team member list TEAM shows who.")


def list_invitations(session: Session, args: Namespace) -> None:
    """Print open invitations: into a team, or for the caller."""
    with session.box() as box:
        path = f"/teams/{find_team(box, args.team).id}/invitations" if args.team else "/user/invitations"
        answer = box.get(path)
    if args.json:
        print_json(answer)
        return
    rows = [
        [
            each.id,
            each.team.name,
            each.invitee.username,
            role_name(each.role),
            each.invitor.username,
            each.expires_at[:10],
        ]
        for each in decode(answer, Invitations).invitations
    ]
    if rows:
        print_table(["ID", "TEAM", "FOR", "ROLE", "BY", "UNTIL"], rows)
    else:
        print("No open invitations.")


def invite(session: Session, args: Namespace) -> bool:
    """Invite people; answers whether all were."""
    with session.box() as box:
        team = find_team(box, args.team)
        answer = box.post(f"/teams/{team.id}/invitations", {"user": ",".join(args.users), "role": args.role})
    refused = decode(answer, Invited).error or {}
    if args.json:
        print_json(answer)
    else:
        for name in args.users:
            print(f"{visible(name)}: {visible(refused.get(name, 'is invited'))}")
    return not refused


def resend(session: Session, args: Namespace) -> None:
    """Tell of an invitation once more."""
    with session.box() as box:
        answer = box.post(f"/teams/{find_team(box, args.team).id}/invitations/{_id(args.id)}")
    _say(answer, args, "is told once more; the invitation is good for another week")


def withdraw(session: Session, args: Namespace) -> None:
    """Withdraw an invitation."""
    with session.box() as box:
        answer = box.delete(f"/teams/{find_team(box, args.team).id}/invitations/{_id(args.id)}")
    _say(answer, args, "is withdrawn")


def answer(session: Session, args: Namespace, *, accept: bool) -> None:
    """Accept or decline one's own."""
    path = f"/user/invitations/{_id(args.id)}"
    with session.box() as box:
        done = box.patch(path) if accept else box.delete(path)
    _say(done, args, "is accepted" if accept else "is declined")


def _say(done: bytes, args: Namespace, said: str) -> None:
    if args.json:
        print_json(done)
    else:
        print(f"{visible(args.id)} {said}")


def _id(text: str) -> str:
    if not text.isalnum():
        raise Refused(f"there is no invitation '{text}'", status=404, hint="weir team invitation list shows them.")
    return text
