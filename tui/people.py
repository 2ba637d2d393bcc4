"""What the screens ask of people and teams, over the client of the screens."""

from __future__ import annotations

from urllib.parse import urlencode

from msgspec import Struct

from appliance.schema.users import Team, Teams, User, Users, UserTeams
from tui.cli.people_options import ROLES
from tui.client import Client
from tui.errors import Refused

NAMES = {number: name for name, number in ROLES.items()}
MOST_PAGES = 200  # a list that goes on for longer is not one that people read


class TeamLine(Struct, frozen=True):
    """A team that the user may see; `role` is his own there, 0 where he is no member."""

    id: str
    name: str
    slug: str
    suspended: bool
    instances: int
    members: int
    type_id: str = ""
    type_name: str = ""
    role: int = 0


def role_name(role: int) -> str:
    """A role in words; `-` for none."""
    return NAMES.get(role, "-" if role == 0 else str(role))


async def teams(client: Client, *, everybodys: bool) -> list[TeamLine]:
    """The user's teams, then, with `everybodys`, all others. Raises BoxError."""
    mine = (await client.get("/user/teams", UserTeams)).teams
    found = {
        each.id: TeamLine(
            each.id,
            each.name,
            each.slug,
            each.suspended,
            each.instance_count,
            each.member_count,
            each.type.id if each.type else "",
            each.type.name if each.type else "",
            each.role,
        )
        for each in mine
    }
    for each in await _all_teams(client) if everybodys else []:
        kind = each.type
        line = TeamLine(
            each.id,
            each.name,
            each.slug,
            each.suspended,
            each.instance_count,
            each.member_count,
            kind.id if kind else "",
            kind.name if kind else "",
        )
        found.setdefault(each.id, line)
    return list(found.values())


async def _all_teams(client: Client) -> list[Team]:
    found: list[Team] = []
    query: dict[str, str] = {}
    try:
        for _ in range(MOST_PAGES):
            page = await client.get(f"/teams?{urlencode(query)}", Teams)
            found += page.teams
            if page.meta.next_cursor is None:
                break
            query["cursor"] = page.meta.next_cursor
    except Refused as error:
        if error.status != 403:  # no administrator any more: his own teams are what there is
            raise
    return found


async def users(client: Client) -> list[User]:
    """All accounts. Raises BoxError."""
    found: list[User] = []
    query: dict[str, str] = {}
    for _ in range(MOST_PAGES):
        page = await client.get(f"/users?{urlencode(query)}", Users)
        found += page.users
        if page.meta.next_cursor is None:
            break
        query["cursor"] = page.meta.next_cursor
    return found
