"""Lists without actions of their own: the keys."""

from __future__ import annotations

from typing import ClassVar

from tui.render import HELP_COLUMNS, Column, Piece
from tui.screens.lists import ListScreen
from tui.signs import Kind
from tui.widgets.table import Rows


class HelpScreen(ListScreen):
    """`Keys`: everything that can be done, from the one key table."""

    word = "help"
    columns: ClassVar[tuple[Column, ...]] = HELP_COLUMNS

    def rows(self) -> Rows:
        found: Rows = {}
        asking = [each.scopes for each in self.owner.path if each is not self][-1:]
        first = asking[0] if asking else ()
        for number, (key, command, text) in enumerate(self.owner.keys.help_rows(self.owner.offers, first)):
            title = not key and not command
            found[str(number)] = [(key, "key"), (command, "plain"), (text, "head" if title else "plain")]
        return found

    def head(self) -> list[Piece]:
        return [("Keys", "title"), ("  Esc goes back, / searches", "dim")]

    def subject(self) -> list[Piece]:
        return [(mistake, Kind.BAD) for mistake in self.owner.own.mistakes[:1]]
