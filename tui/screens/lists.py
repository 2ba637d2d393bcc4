"""Screens that are a list: what moves the cursor is the same in all."""

from __future__ import annotations

from typing import ClassVar

from textual.widget import Widget

from tui import keys
from tui.render import Column, wanted
from tui.screens.frame import Frame
from tui.widgets.table import Rows, Table


class ListScreen(Frame):
    """A table and its keys. A subclass gives `columns`, `rows` and what to say when there are none."""

    columns: ClassVar[tuple[Column, ...]] = ()
    empty: ClassVar[str] = ""
    scopes: ClassVar[tuple[str, ...]] = (keys.TABLE, keys.ANYWHERE)

    def body(self) -> Widget:
        self.table = Table(self.looks, self.columns, empty=self.empty)
        return self.table

    def rows(self) -> Rows:
        """All rows by key, in order; the filter is applied to their text."""
        raise NotImplementedError

    def paint(self) -> None:
        rows = self.rows()
        shown = {key: cells for key, cells in rows.items() if wanted(self.pattern, " ".join(text for text, _ in cells))}
        empty = f"nothing matches /{self.pattern}" if rows and not shown else self.nothing()
        self.table.show(shown, stale=bool(self.known.lost), empty=empty)

    def nothing(self) -> str:
        """What the empty list says."""
        return self.empty

    def on_table_moved(self) -> None:
        self.say_again()

    def do_up(self) -> None:
        self.table.move(-1)

    def do_down(self) -> None:
        self.table.move(1)

    def do_page_up(self) -> None:
        self.table.move(-self.table.page())

    def do_page_down(self) -> None:
        self.table.move(self.table.page())

    def do_top(self) -> None:
        self.table.move_to(0)

    def do_bottom(self) -> None:
        self.table.move_to(self.table.last())
