"""The applications of a team, which group its instances."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import ClassVar

from appliance.schema.users import Application, Applications
from tui import keytable, platformkeys
from tui.render import Column, Piece
from tui.screens.asking import Asked, AskScreen, Done, Values, needed
from tui.screens.editor import EditorScreen
from tui.screens.forms import Field
from tui.screens.ofteam import TeamScreen
from tui.widgets.table import Rows
from tui.wire import decode


class ApplicationsScreen(TeamScreen[Application]):
    """`:apps SLUG` shows those of another team."""

    word = "apps"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("NAME", 24),
        Column("INST", 4, right=True),
        Column("DESCRIPTION", 0),
    )
    empty = "no applications in this team"
    scopes: ClassVar[tuple[str, ...]] = (platformkeys.APPLICATIONS, keytable.LINES, keytable.TABLE, keytable.ANYWHERE)

    _counts: Counter[str] = Counter()  # of instances, by application

    async def found(self) -> Iterable[tuple[str, Application]]:
        if self.team is None:
            return []
        listed = await self.owner.client.get(f"/teams/{self.team.id}/applications", Applications)
        return [(each.id, each) for each in listed.applications]

    def rows(self) -> Rows:
        self._counts = Counter(one.application.id for one in self.known.instances.values() if one.application)
        return super().rows()

    def cells(self, each: Application) -> list[Piece]:
        return [
            (self.shown(each.name), "name"),
            (str(self._counts[each.id]), "plain"),
            (self.shown(each.description), "dim"),
        ]

    def details(self) -> list[tuple[str, str]]:
        each = self.chosen
        if each is None:
            return []
        names = [one.name for one in self.known.instances.values() if one.application.id == each.id]
        return [
            ("name", each.name),
            ("id", each.id),
            ("created", each.created_at),
            ("description", each.description),
            ("instances", "\n".join(names) or "none"),
        ]

    def do_create(self) -> None:
        if self.team is None:
            return
        team = self.team

        async def send(given: Values) -> Done:
            body = {**given, "teamId": team.id}
            made = decode(await self.owner.client.post("/applications", body), Application)
            return Done(f"{made.name} is made")

        self.owner.push_screen(AskScreen(self.owner, f"new application of {team.slug}", _fields(), send))

    def do_edit(self) -> None:
        if (each := self.picked()) is None:
            return

        async def send(given: Values) -> Done:
            changed = decode(await self.owner.client.put(f"/applications/{each.id}", given), Application)
            return Done(f"{changed.name} is changed")

        values = {"name": each.name, "description": each.description}
        self.owner.push_screen(AskScreen(self.owner, f"application {each.name}", _fields(), send, values=values))

    def do_text(self) -> None:
        if (each := self.picked()) is None:
            return

        def taken(text: str) -> None:
            work = self.owner.client.put(f"/applications/{each.id}", {"description": text})
            self.change(work, f"the description of {each.name} is changed")

        self.owner.push_screen(EditorScreen(self.owner, each.description, f"description of {each.name}", taken))

    def do_remove(self) -> None:
        if (each := self.picked()) is None:
            return
        self.delete(
            f"/applications/{each.id}", name=each.name, what="to delete the application", done=f"{each.name} is deleted"
        )


def _fields() -> list[Asked]:
    return [
        Asked(Field("name", "Name", "as people call it"), needed("a name")),
        Asked(Field("description", "Description", "a line; e in the list edits longer ones")),
    ]
