"""The teams that the user may see."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import msgspec

from appliance.schema.team_types import TeamTypes
from appliance.schema.users import Team
from tui import keytable, people, platformkeys
from tui.errors import BoxError
from tui.people import TeamLine, role_name
from tui.render import Column, Piece
from tui.screens.asking import Asked, AskScreen, Done, Values, needed
from tui.screens.forms import Field
from tui.screens.objects import ObjectsScreen
from tui.signs import Kind
from tui.wire import decode


class TeamsScreen(ObjectsScreen[TeamLine]):
    """One's own first; administrators see all."""

    word = "teams"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("SLUG", 18),
        Column("NAME", 0),
        Column("YOU ARE", 9),
        Column("MEMBERS", 7, right=True),
        Column("INST", 4, right=True),
        Column("", 9),
    )
    empty = "you belong to no team"
    scopes: ClassVar[tuple[str, ...]] = (platformkeys.TEAMS, keytable.LINES, keytable.TABLE, keytable.ANYWHERE)

    async def found(self) -> Iterable[tuple[str, TeamLine]]:
        teams = await people.teams(self.owner.client, everybodys=self.known.may("team:list"))
        return [(each.id, each) for each in teams]

    def cells(self, each: TeamLine) -> list[Piece]:
        return [
            (self.shown(each.slug), "name"),
            (self.shown(each.name), "plain"),
            (role_name(each.role), "plain" if each.role else "dim"),
            (str(each.members), "plain"),
            (str(each.instances), "plain"),
            ("suspended" if each.suspended else "", Kind.BAD),
        ]

    def may(self, permission: str) -> bool:
        if permission == "team:create":
            return self.known.rights.may(permission)
        return self.known.rights.may(permission, self.chosen.id if self.chosen else None)

    def do_members(self) -> None:
        from tui.screens.members import MembersScreen

        if (each := self.picked()) is not None:
            self.owner.push_screen(MembersScreen(self.owner, team=each))

    def do_invitations(self) -> None:
        from tui.screens.invitations import InvitationsScreen

        if (each := self.picked()) is not None:
            self.owner.push_screen(InvitationsScreen(self.owner, team=each))

    def do_applications(self) -> None:
        from tui.screens.applications import ApplicationsScreen

        if (each := self.picked()) is not None:
            self.owner.push_screen(ApplicationsScreen(self.owner, team=each))

    def do_audit(self) -> None:
        from tui.screens.audit import AuditScreen

        if (each := self.picked()) is not None:
            self.owner.push_screen(AuditScreen(self.owner, team=each))

    # -- changes ------------------------------------------------------------------------------------
    def do_create(self) -> None:
        self.run_worker(self._open_form(None), exit_on_error=False, name="types of teams")

    def do_edit(self) -> None:
        if (each := self.picked()) is not None:
            self.run_worker(self._open_form(each), exit_on_error=False, name="types of teams")

    async def _open_form(self, team: TeamLine | None) -> None:
        """The form needs the types of teams; where the box does not tell them, there is no choice."""
        try:
            types = (await self.owner.client.get("/team-types?filter=active", TeamTypes)).types
        except BoxError as error:
            self.refused(error)
            return
        choices = tuple((each.id, each.name) for each in types)
        if team is not None and team.type_id not in dict(choices):
            choices = ((team.type_id, team.type_name), *choices)
        asked = [
            Asked(Field("name", "Name", "as people call it"), needed("a name")),
            Asked(Field("slug", "Slug", "empty: made of the name")),
            Asked(Field("type", "Type", "what the team may have", choices=choices, chosen=True)),
        ]
        values = {"name": team.name, "slug": team.slug, "type": team.type_id} if team else {}

        async def send(given: Values) -> Done:
            return await self._send(team, given)

        title = f"team {team.slug}" if team else "new team"
        self.owner.push_screen(AskScreen(self.owner, title, asked, send, values=values))

    async def _send(self, team: TeamLine | None, given: Values) -> Done:
        client = self.owner.client
        if team is None:
            made = decode(await client.post("/teams", given), Team)
            self.owner.live.recheck_rights()
            return Done(f"{made.name} is made; its slug is {made.slug}")
        before = {"name": team.name, "slug": team.slug, "type": team.type_id}
        body = {key: value for key, value in given.items() if value and value != before[key]}
        if not body:
            return Done("nothing was changed")
        changed = decode(await client.put(f"/teams/{team.id}", body), Team)
        return Done(f"{changed.name} is changed")

    def do_suspend(self) -> None:
        if (each := self.picked()) is None:
            return
        body = {"suspended": not each.suspended}

        def go() -> None:
            said = "goes on; start its instances again" if each.suspended else "is suspended, with its instances"
            self.change(self.owner.client.put(f"/teams/{each.id}", body), f"{each.name} {said}")

        if each.suspended:
            go()
        else:
            self.confirm(each.slug, "to stop the team with all its instances", go)

    def do_remove(self) -> None:
        if (each := self.picked()) is None:
            return
        self.delete(
            f"/teams/{each.id}",
            name=each.slug,
            what="to delete the team with its applications",
            done=f"{each.name} is deleted",
        )

    def details(self) -> list[tuple[str, str]]:
        each = self.chosen
        return [(key, str(value)) for key, value in msgspec.structs.asdict(each).items()] if each else []
