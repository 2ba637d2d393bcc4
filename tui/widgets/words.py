"""A few labelled sentences under a list, folded to the width; as high as they need, within a bound."""

from __future__ import annotations

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from tui.render import Piece, cut
from tui.text import wrapped
from tui.theme import Theme

Sentence = tuple[str, str, str]  # label, text, style of the text
LABEL_CELLS = 8
KEPT_LINES = 9  # header, heading, five rows, message, footer


class Words(Widget):
    """Painted again only when what it says, or the width, changes."""

    DEFAULT_CSS = "Words { height: 0; }"

    def __init__(self, theme: Theme, *, most_lines: int) -> None:
        super().__init__()
        self._theme = theme
        self._most_lines = most_lines
        self._said: list[Sentence] = []
        self._lines: list[list[Piece]] = []

    def say(self, sentences: list[Sentence]) -> None:
        """Show these sentences instead; empty ones are left out."""
        sentences = [each for each in sentences if each[1]]
        if sentences != self._said:
            self._said = sentences
            self._fold()

    def on_resize(self) -> None:
        self._fold()

    def _fold(self) -> None:
        cells = max(20, (self.size.width or self.app.size.width) - LABEL_CELLS - 2)
        folded = [_folded(each, cells) for each in self._said]
        # Where there is no room for all, the longest gives way: what to do is the shortest and matters most.
        while folded and sum(map(len, folded)) > self._room():
            max(folded, key=len).pop()
        self._lines = [line for lines in folded for line in lines]
        self.styles.height = len(self._lines)
        self.refresh(layout=True)

    def _room(self) -> int:
        """The list above keeps its heading and some rows, however small the terminal is."""
        return max(3, min(self._most_lines, self.app.size.height - KEPT_LINES))

    def render_line(self, y: int) -> Strip:
        pieces = self._lines[y] if y < len(self._lines) else []
        shown = cut([(" ", "plain"), *pieces], self.size.width, self._theme.more)
        return Strip([Segment(text, self._theme.style(style)) for text, style in shown], self.size.width)


def _folded(sentence: Sentence, cells: int) -> list[list[Piece]]:
    label, text, style = sentence
    labels = [label, *[""] * len(text)]
    return [[(labels[at].ljust(LABEL_CELLS), "key"), (line, style)] for at, line in enumerate(wrapped(text, cells))]
