"""Open invitations: those for the user himself, and those into teams in which he may invite."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from msgspec import Struct

from appliance.schema.instances import Instance
from appliance.schema.members import Invitation, Invitations
from tui import keytable, people, platformkeys
from tui.people import TeamLine, role_name
from tui.render import Column, Piece
from tui.screens.inviting import invite
from tui.screens.objects import ObjectsScreen
from tui.screens.ofteam import ask_team

if TYPE_CHECKING:
    from tui.app import WeirApp


class Open(Struct, frozen=True):
    """An invitation, and whether it is for the user himself."""

    invitation: Invitation
    mine: bool


class InvitationsScreen(ObjectsScreen[Open]):
    """One's own first. With `team` those into that team only."""

    word = "invitations"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("FOR", 18),
        Column("TEAM", 0),
        Column("ROLE", 9),
        Column("BY", 14, spare=1),
        Column("UNTIL", 10),
    )
    empty = "no open invitations"
    scopes: ClassVar[tuple[str, ...]] = (
        platformkeys.INVITATIONS,
        keytable.LINES,
        keytable.TABLE,
        keytable.ANYWHERE,
    )

    def __init__(self, owner: WeirApp, about: tuple[Instance, ...] = (), *, team: TeamLine | None = None) -> None:
        super().__init__(owner, about)
        self.team = team
        self.teams: list[TeamLine] = []

    def label(self) -> str:
        return f"{self.word} {self.team.slug}" if self.team else self.word

    async def found(self) -> Iterable[tuple[str, Open]]:
        client, rights = self.owner.client, self.known.rights
        seen: dict[str, Open] = {}
        if self.team is None:
            mine = (await client.get("/user/invitations", Invitations)).invitations
            seen = {each.id: Open(each, True) for each in mine}
            self.teams = await people.teams(client, everybodys=self.known.may("team:list"))
        of = [self.team] if self.team else [each for each in self.teams if rights.may("team:user:invite", each.id)]
        self.teams = of
        if self.team is None and self.known.may("invitation:list"):
            others = (await client.get("/admin/invitations", Invitations)).invitations
        else:
            asked = [await client.get(f"/teams/{each.id}/invitations", Invitations) for each in of]
            others = [each for answer in asked for each in answer.invitations]
        for each in others:
            seen.setdefault(each.id, Open(each, False))
        return seen.items()

    def cells(self, each: Open) -> list[Piece]:
        told = each.invitation
        return [
            ("you", "key") if each.mine else (self.shown(told.invitee.username), "name"),
            (self.shown(told.team.name), "plain"),
            (role_name(told.role), "plain"),
            (self.shown(told.invitor.username), "dim"),
            (self.shown(told.expires_at[:10]), "dim"),
        ]

    def may(self, permission: str) -> bool:
        chosen = self.chosen
        if chosen is not None and not chosen.mine:
            return self.known.rights.may(permission, chosen.invitation.team.id)
        return self.known.rights.may(permission, self.team.id if self.team else None)

    def do_accept(self) -> None:
        self._answer(accept=True)

    def do_reject(self) -> None:
        self._answer(accept=False)

    def _answer(self, *, accept: bool) -> None:
        chosen = self.chosen
        if chosen is None or not chosen.mine:
            self.say("this invitation is not for you" if chosen else "there is no invitation for you")
            return
        told, client = chosen.invitation, self.owner.client
        path = f"/user/invitations/{told.id}"
        if accept:
            said = f"you are {role_name(told.role)} of {told.team.name}"
            self.change(client.patch(path), said, self.owner.reload)
        else:
            self.change(client.delete(path), f"the invitation into {told.team.name} is declined")

    def do_invite(self) -> None:
        ask_team(self, self.teams, "into which team? ", lambda team: invite(self, team))

    def do_resend(self) -> None:
        if told := self._of_others():
            work = self.owner.client.post(f"/teams/{told.team.id}/invitations/{told.id}")
            self.change(work, f"{told.invitee.username} is told once more")

    def do_withdraw(self) -> None:
        if told := self._of_others():
            work = self.owner.client.delete(f"/teams/{told.team.id}/invitations/{told.id}")
            self.change(work, f"the invitation of {told.invitee.username} is withdrawn")

    def _of_others(self) -> Invitation | None:
        chosen = self.chosen
        if chosen is None:
            self.nobody()
        elif chosen.mine:
            self.say("this invitation is for you: A accepts it, R declines it")
        else:
            return chosen.invitation
        return None
