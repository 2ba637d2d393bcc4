"""Lists without actions of their own: the keys, and the problems of the box."""

from __future__ import annotations

from typing import ClassVar

from tui.render import HELP_COLUMNS, PROBLEM_COLUMNS, Column, Piece, problem_cells
from tui.screens.lists import ListScreen
from tui.text import visible
from tui.widgets.table import Rows


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
    """What is wrong with the box, why, and what to do."""

    word = "problems"
    columns: ClassVar[tuple[Column, ...]] = PROBLEM_COLUMNS
    empty = "no problem is known"

    def rows(self) -> Rows:
        status = self.known.status
        return {each.key: problem_cells(each, self.profile) for each in status.problems} if status else {}

    def subject(self) -> list[Piece]:
        status = self.known.status
        for each in status.problems if status else []:
            if each.key == self.table.key:
                return [(visible(each.next_step, ascii_only=self.profile.ascii), "plain")]
        return []
