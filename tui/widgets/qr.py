"""A picture for a telephone's camera, in half blocks."""

from __future__ import annotations

import segno
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

QUIET = 2  # modules of margin; the standard asks for four, readers are content with two


def matrix(text: str) -> list[list[bool]]:
    """Dark modules of the smallest code for `text`, with its margin."""
    made = segno.make(text, error="l", micro=False, boost_error=False)
    return [[bool(module) for module in row] for row in made.matrix_iter(border=QUIET)]


def half_blocks(dark: list[list[bool]]) -> list[str]:
    """Two rows of modules a line; what is light is drawn, so that it stands on a dark terminal."""
    blocks = {(False, False): "█", (False, True): "▀", (True, False): "▄", (True, True): " "}
    rows = [*dark, [True] * len(dark[0])] if len(dark) % 2 else dark
    return ["".join(blocks[pair] for pair in zip(rows[at], rows[at + 1], strict=True)) for at in range(0, len(rows), 2)]


class Qr(Widget):
    """Dark on light whatever the terminal's colours; without colour it is right on a dark terminal."""

    DEFAULT_CSS = "Qr { width: auto; height: auto; margin-left: 1; }"

    def __init__(self, *, colour: bool) -> None:
        super().__init__()
        self._style = Style(color="bright_white", bgcolor="black") if colour else Style()
        self._lines: list[str] = []
        self._text = ""

    def show(self, text: str) -> None:
        """Draw another text."""
        if text != self._text:
            self._text, self._lines = text, half_blocks(matrix(text))
            self.styles.width, self.styles.height = len(self._lines[0]), len(self._lines)
            self.refresh(layout=True)

    @property
    def lines(self) -> int:
        return len(self._lines)

    def render_line(self, y: int) -> Strip:
        text = self._lines[y] if y < len(self._lines) else ""
        return Strip([Segment(text, self._style)]).adjust_cell_length(self.size.width)
