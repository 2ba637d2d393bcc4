"""One line of styled text."""

from __future__ import annotations

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from tui.render import Piece, cut
from tui.theme import Theme


class Line(Widget):
    """Shows pieces of text on one line; painted again only when they change."""

    DEFAULT_CSS = "Line { height: 1; }"

    def __init__(self, theme: Theme, *, id: str | None = None) -> None:  # noqa: A002 - textual's name
        super().__init__(id=id)
        self._theme = theme
        self.pieces: list[Piece] = []

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.pieces)

    def show(self, pieces: list[Piece]) -> None:
        if pieces != self.pieces:
            self.pieces = pieces
            self.refresh()

    def render_line(self, y: int) -> Strip:
        pieces = cut([(" ", "plain"), *self.pieces], self.size.width, self._theme.more)
        return Strip([Segment(text, self._theme.style(style)) for text, style in pieces], self.size.width)
