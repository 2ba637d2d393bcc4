"""Screens about one team: which one, and how another is chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from appliance.schema.instances import Instance
from tui import people
from tui.people import TeamLine
from tui.render import Piece
from tui.screens.objects import ObjectsScreen
from tui.screens.prompt import Question
from tui.signs import Kind

if TYPE_CHECKING:
    from tui.app import WeirApp

T = TypeVar("T")


class TeamScreen(ObjectsScreen[T], Generic[T]):
    """`team` is the one it was opened for, else the first of the user's; `teams` all that he may see."""

    def __init__(self, owner: WeirApp, about: tuple[Instance, ...] = (), *, team: TeamLine | None = None) -> None:
        super().__init__(owner, about)
        self.team = team
        self.teams: list[TeamLine] = []
        self._wanted_team = ""

    async def fetch(self) -> None:
        self.teams = await people.teams(self.owner.client, everybodys=self.known.may("team:list"))
        if self._wanted_team:
            self._take(self._wanted_team)
            self._wanted_team = ""
        now = {each.id: each for each in self.teams}
        self.team = now.get(self.team.id) if self.team else next(iter(self.teams), None)
        await super().fetch()

    def named(self, rest: str) -> None:
        self._wanted_team = rest
        self.refetch()

    def may(self, permission: str) -> bool:
        return self.known.rights.may(permission, self.team.id if self.team else None)

    def label(self) -> str:
        return f"{self.word}{f' {self.team.slug}' if self.team else ''}"

    def subject(self) -> list[Piece]:
        said = super().subject()
        if said or self.team is None:
            return said
        stopped: list[Piece] = [("  suspended", Kind.BAD)] if self.team.suspended else []
        return [("team ", "dim"), (self.shown(self.team.name), "name"), *stopped]

    def nothing(self) -> str:
        return "you belong to no team" if self.fetched and self.team is None else super().nothing()

    def _take(self, wanted: str) -> None:
        found = [each for each in self.teams if wanted in (each.slug, each.id)]
        found = found or [each for each in self.teams if each.name == wanted]
        if len(found) == 1:
            self.team = found[0]
        else:
            self.say(f"{len(found) or 'no'} team{'s are' if found else ' is'} called '{wanted}'", Kind.BAD)


def ask_team(screen: ObjectsScreen[T], teams: list[TeamLine], sign: str, then: Callable[[TeamLine], None]) -> None:
    """Ask for one of these teams, by slug; with one only there is nothing to ask."""
    slugs = {each.slug: each for each in teams}

    def answer(typed: str) -> None:
        if typed in slugs:
            then(slugs[typed])
        elif typed:
            screen.say(f"there is no team '{typed}'; a slug is one of: {', '.join(slugs)}", Kind.BAD)

    if len(teams) == 1:
        then(teams[0])
    elif not teams:
        screen.say("there is no team in which you may do that", Kind.BAD)
    else:
        offers = list(slugs)
        screen.ask(Question(sign, answer, offers=lambda typed: [each for each in offers if each.startswith(typed)]))
