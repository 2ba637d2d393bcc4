"""Who belongs to a team."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from appliance.schema.members import TeamMember, TeamMembers
from appliance.schema.users import User
from tui import keytable, platformkeys
from tui.cli.people_options import ROLES
from tui.people import role_name
from tui.render import Column, Piece
from tui.screens.inviting import invite, role_question
from tui.screens.ofteam import TeamScreen
from tui.screens.prompt import Question
from tui.signs import Kind


class MembersScreen(TeamScreen[TeamMember]):
    """The members, with their roles; what may be changed is up to the user's own role in the team."""

    word = "members"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("USER", 22),
        Column("NAME", 0),
        Column("ROLE", 9),
        Column("", 10),
    )
    empty = "nobody belongs to the team"
    scopes: ClassVar[tuple[str, ...]] = (
        platformkeys.MEMBERS,
        keytable.LINES,
        keytable.TABLE,
        keytable.ANYWHERE,
    )

    async def found(self) -> Iterable[tuple[str, TeamMember]]:
        if self.team is None:
            return []
        listed = await self.owner.client.get(f"/teams/{self.team.id}/members", TeamMembers)
        return [(each.id, each) for each in listed.members]

    def cells(self, each: TeamMember) -> list[Piece]:
        return [
            (self.shown(each.username), "name"),
            (self.shown(each.name), "plain"),
            (role_name(each.role), "plain"),
            ("suspended" if each.suspended else "", Kind.BAD),
        ]

    def do_role(self) -> None:
        if self.chosen is None or self.team is None:
            self.nobody()
            return
        each, team = self.chosen, self.team

        def answer(typed: str) -> None:
            role = ROLES.get(typed.lower())
            if role is None:
                self.say(f"'{typed}' is no role; nothing was changed. Say {', '.join(ROLES)}", Kind.BAD)
                return
            work = self.owner.client.put(f"/teams/{team.id}/members/{each.id}", {"role": role})
            self.change(work, f"{each.username} is {role_name(role)} of {team.name}")

        self.ask(role_question(f"role of {self.shown(each.username)}: ", answer))

    def do_invite(self) -> None:
        if self.team is not None:
            invite(self, self.team)

    def do_add(self) -> None:
        if self.team is None:
            return
        team = self.team

        def answer(typed: str) -> None:
            name, _, word = typed.partition(" ")
            role = ROLES.get(word.strip().lower() or "member")
            if not name or role is None:
                self.say("nothing was done: type a user name and a role, for example: alice viewer", Kind.BAD)
                return
            work = self.owner.client.post(f"/teams/{team.id}/members", {"user": name, "role": role})
            self.change(work, f"{name} is {role_name(role)} of {team.name}")

        self.ask(Question("user, and role (member): ", answer))

    def do_remove(self) -> None:
        if self.chosen is None or self.team is None:
            self.nobody()
            return
        each, team = self.chosen, self.team

        self.delete(
            f"/teams/{team.id}/members/{each.id}",
            name=each.username,
            what="to end the membership",
            done=f"{each.username} belongs to {team.name} no longer",
        )

    def do_depart(self) -> None:
        if self.team is None:
            return
        team = self.team

        def go() -> None:
            self.attempt(self._leave(team.id), done=f"you belong to {team.name} no longer", then=self._departed)

        self.confirm(team.slug, "to leave the team", go)

    async def _leave(self, team_id: str) -> None:
        me = await self.owner.client.get("/user", User)
        await self.owner.client.delete(f"/teams/{team_id}/members/{me.id}")

    def _departed(self) -> None:
        self.team = None
        self.owner.live.recheck_rights()
        self.refetch()
