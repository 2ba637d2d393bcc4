"""Lists without actions of their own: the keys, and the problems of the box."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import ClassVar

from textual.containers import Vertical
from textual.widget import Widget

from appliance.schema.box import Problem
from tui.render import HELP_COLUMNS, PROBLEM_COLUMNS, Column, Piece, problem_cells, problem_words
from tui.screens.lists import ListScreen
from tui.widgets.table import Rows
from tui.widgets.words import Words


class HelpScreen(ListScreen):
    """`Keys`: everything that can be done, from the one key table."""

    word = "help"
    columns: ClassVar[tuple[Column, ...]] = HELP_COLUMNS

    def rows(self) -> Rows:
        from tui.keys import help_rows

        found: Rows = {}
        for number, (key, command, text) in enumerate(help_rows()):
            title = not key and not command
            found[str(number)] = [(key, "key"), (command, "plain"), (text, "head" if title else "plain")]
        return found

    def head(self) -> list[Piece]:
        return [("Keys", "title"), ("  Esc goes back", "dim")]


class ProblemsScreen(ListScreen):
    """What is wrong with the box; below the list why, what was seen and what to do about the one at the cursor."""

    word = "problems"
    columns: ClassVar[tuple[Column, ...]] = PROBLEM_COLUMNS
    empty = "no problem is known"

    def body(self) -> Widget:
        self.words = Words(self.looks, most_lines=14)
        return Vertical(super().body(), self.words)

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
        return [("a problem goes from here by itself when it is mended", "dim")] if self._problems() else []

    def _problems(self) -> list[Problem]:
        return self.known.status.problems if self.known.status else []

    def _explain(self) -> None:
        chosen = [each for each in self._problems() if each.key == self.table.key]
        self.words.say(problem_words(chosen[0], self.profile) if chosen else [])
