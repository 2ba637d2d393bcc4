"""What is wrong with the box: why, what was seen, what to do, and what is offered to do from here."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import ClassVar

from textual.containers import Vertical
from textual.widget import Widget

from appliance.schema.box import Problem
from appliance.schema.instances import Instance
from tui import keytable, platformkeys, repairs
from tui.render import PROBLEM_COLUMNS, Column, Piece, problem_cells, problem_words
from tui.screens.details import DetailsScreen, Fact
from tui.screens.lists import ListScreen
from tui.text import parse_time, visible
from tui.widgets.table import Rows
from tui.widgets.words import Words


class ProblemsScreen(ListScreen):
    """Below the list is all about the one at the cursor. Live: problems come and go as the box announces them."""

    word = "problems"
    columns: ClassVar[tuple[Column, ...]] = PROBLEM_COLUMNS
    empty = "no problem is known"
    scopes: ClassVar[tuple[str, ...]] = (platformkeys.PROBLEMS, keytable.LINES, keytable.TABLE, keytable.ANYWHERE)

    def body(self) -> Widget:
        self.words = Words(self.looks, most_lines=14)
        return Vertical(super().body(), self.words)

    @property
    def chosen(self) -> Problem | None:
        """The problem under the cursor."""
        return next((each for each in self._problems() if each.key == self.table.key), None)

    @property
    def current(self) -> Instance | None:
        """The instance that the problem is about."""
        return self.known.instances.get(self.chosen.about or "") if self.chosen else None

    def rows(self) -> Rows:
        now = datetime.now(UTC)
        return {each.key: problem_cells(each, now, self.profile) for each in self._problems()}

    def paint(self) -> None:
        super().paint()
        self._explain()

    def on_table_moved(self) -> None:
        super().on_table_moved()
        self._explain()

    def subject(self) -> list[Piece]:
        repair = self._repair()
        if repair is not None:
            return [("f ", "key"), (visible(repair.label, ascii_only=self.profile.ascii), "plain")]
        return [("a problem goes from here by itself when it is mended", "dim")] if self._problems() else []

    def nothing(self) -> str:
        return self.empty if self.known.status else "asking the box"

    def _problems(self) -> list[Problem]:
        return self.known.status.problems if self.known.status else []

    def _explain(self) -> None:
        self.words.say(problem_words(self.chosen, self.profile) if self.chosen else [])

    def _repair(self) -> repairs.Repair | None:
        """What is offered to this user."""
        found = repairs.offered(self.chosen) if self.chosen else None
        return found if found and self.current and self.may(found.permission) else None

    def do_show(self) -> None:
        each = self.chosen
        if each is None:
            self.say("there is no problem")
            return
        since, repair, about = parse_time(each.since), self._repair(), self.current
        facts: list[Fact] = [
            ("problem", each.title, "bad"),
            ("why", each.cause),
            ("seen", each.evidence),
            ("do", each.next_step, "name"),
            ("offered", f"f: {repair.label}" if repair else "nothing from here"),
            ("instance", about.name if about else "none in particular"),
            ("since", f"{since.astimezone():%Y-%m-%d %H:%M:%S}" if since else each.since),
            ("key", each.key),
        ]
        self.owner.push_screen(DetailsScreen(self.owner, facts, title="problem"))

    def do_repair(self) -> None:
        repair, about = self._repair(), self.current
        if repair is None or about is None:
            self.say("nothing can be done about this one from here; what to do is said above")
        elif repair.place:
            self.owner.go(repair.place, [about])
        else:
            self.confirm(about.name, f"to {repair.label}", lambda: self._do(repair, about))

    def _do(self, repair: repairs.Repair, about: Instance) -> None:
        async def run() -> None:
            for action in repair.actions:
                await self.owner.client.post(f"/projects/{about.id}/actions/{action}")

        self.attempt(run(), done=f"{about.name}: asked the box to {' and '.join(repair.actions)} it")
