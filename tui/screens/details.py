"""All of something that a list shows a line of: labelled text, folded to the width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from tui.render import FACT_COLUMNS, Column
from tui.screens.lists import ListScreen
from tui.text import visible, width, wrapped
from tui.widgets.table import Rows

if TYPE_CHECKING:
    from tui.app import WeirApp

Fact = tuple[str, str] | tuple[str, str, str]  # label, text, style


class DetailsScreen(ListScreen):
    """Shows facts that do not change; Esc leaves."""

    columns: ClassVar[tuple[Column, ...]] = FACT_COLUMNS
    empty = "there is nothing more to say"

    def __init__(self, owner: WeirApp, facts: Sequence[Fact], *, title: str) -> None:
        super().__init__(owner)
        self._facts = list(facts)
        self._title = title

    def label(self) -> str:
        return self._title

    def rows(self) -> Rows:
        return fact_rows(self._facts, self.size.width - 18, ascii_only=self.profile.ascii)

    def do_whole(self) -> None:
        """It is all here."""


def fact_rows(facts: Sequence[Fact], cells: int, *, ascii_only: bool) -> Rows:
    """Facts as rows of a table with FACT_COLUMNS; long text goes on in further rows, keyed by label and number."""
    rows: Rows = {}
    for number, fact in enumerate(facts):
        label, text, style = (*fact, "plain")[:3]
        parts = [
            part for line in text.split("\n") for part in _folded(visible(line, ascii_only=ascii_only), max(20, cells))
        ]
        for at, part in enumerate(parts):
            rows[f"{number}.{at}"] = [(visible(label) if at == 0 else "", "key"), (part, style)]
    return rows


def _folded(line: str, cells: int) -> list[str]:
    """A line that fits stays as it is, with its blanks."""
    return [line] if width(line) <= cells else wrapped(line, cells) or [""]
