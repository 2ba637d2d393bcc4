"""A window onto a ring of log lines: follows the end, or holds still and counts what is new."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tui.loglines import HEAD_CELLS, LEVEL_AT, LEVEL_CELLS
from tui.text import char_width, fit, width
from tui.theme import LEVELS, Theme
from tui.widgets.ring import ALL, Ring

SIDE_STEP = 40


class LogView(Widget, can_focus=True):
    """Lines are shown as they are given; strangers' control characters must be gone already.

    `new` counts lines that came while it held still. Where lines carry a prefix of `prefix_cells` behind time and
    level, `prefixes` maps it (without blanks) to a style.
    """

    DEFAULT_CSS = "LogView { height: 1fr; }"

    class Changed(Message):
        """Following, counts, filter or folding are different now."""

    def __init__(self, theme: Theme, ring: Ring) -> None:
        super().__init__()
        self._theme = theme
        self.ring = ring
        self.follow = True
        self.wrap = False
        self.new = 0
        self._anchor = 0  # number of the first line shown while holding still
        self._left = 0
        self.prefix_cells = 0
        self.prefixes: dict[str, str] = {}
        self._window: list[tuple[int, str]] = []

    def append(self, lines: Sequence[str], times: Sequence[int] = ()) -> None:
        """Show lines at the end; painted at most once for the whole batch."""
        found = self.ring.append(lines, times)
        if not found:
            return
        if self.follow or len(self.ring) <= self.size.height:
            self.refresh()
        else:
            self.new += found
        self.post_message(self.Changed())

    @property
    def at_start(self) -> bool:
        """Whether it holds still at the oldest line it has."""
        return not self.follow and self.ring.position(self._anchor) == 0

    def prepend(self, lines: Sequence[str], times: Sequence[int] = ()) -> None:
        """Take older lines; the window stays on what it shows."""
        self.ring.prepend(lines, times)
        self._changed()

    def filter(self, pattern: str, levels: frozenset[str] = ALL) -> None:
        self.ring.filter(pattern, levels)
        self.to_end()

    def clear(self) -> None:
        """Forget all lines."""
        self.ring.clear()
        self.to_end()

    def to_time(self, time_ms: int) -> bool:
        """Hold still at the first line at or after a time; False when there is none."""
        number = self.ring.number_at(time_ms)
        if number >= self.ring.end:
            return False
        self.hold()
        self._go(self.ring.position(number))
        return True

    def hold(self) -> None:
        """Stop following; the window stays where it is."""
        if self.follow:
            self._anchor = self._first_shown()
            self.follow = False
            self.post_message(self.Changed())

    def to_end(self) -> None:
        self.follow, self.new = True, 0
        self._changed()

    def to_start(self) -> None:
        self.hold()
        self._go(0)

    def scroll_lines(self, lines: int) -> None:
        """Move the window; at the end it follows again."""
        if self.follow and lines > 0:
            return
        self.hold()
        position = self.ring.position(self._anchor) + lines
        if lines > 0 and position >= self._last_start():
            self.to_end()
        else:
            self._go(position)

    def page(self) -> int:
        return max(1, self.size.height - 1)

    def side(self, steps: int) -> None:
        """Look further right or left in long lines."""
        self._left = max(0, self._left + steps * SIDE_STEP)
        self._changed()

    def fold(self) -> None:
        """Fold long lines, or cut them again."""
        self.wrap, self._left = not self.wrap, 0
        self._changed()

    def render_lines(self, crop: Region) -> list[Strip]:
        """The window is worked out once per paint, not once per line."""
        self._window = self._rows()
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        if y >= len(self._window):
            return Strip.blank(self.size.width)
        number, text = self._window[y]
        line = self.ring.line(number)
        level = line[LEVEL_AT : LEVEL_AT + LEVEL_CELLS].strip()
        style = self._theme.style(LEVELS.get(level, "plain"))
        shown = fit(text, self.size.width, mark=self._theme.more)
        if not self.prefix_cells or not text.startswith(line[:HEAD_CELLS]):
            return Strip([Segment(shown, style)], self.size.width)
        before, prefix = shown[:HEAD_CELLS], shown[HEAD_CELLS : HEAD_CELLS + self.prefix_cells]
        named = self._theme.style(self.prefixes.get(prefix.strip(), "plain"))
        rest = shown[HEAD_CELLS + self.prefix_cells :]
        return Strip([Segment(before, style), Segment(prefix, named), Segment(rest, style)], self.size.width)

    def _rows(self) -> list[tuple[int, str]]:
        """Line number and text of every row of the window."""
        if self.follow:
            return self._last_rows()
        height = self.size.height
        numbers = self.ring.shown(self.ring.position(self._anchor), height)
        return [(number, part) for number in numbers for part in self._parts(number)][:height]

    def _last_rows(self) -> list[tuple[int, str]]:
        height = self.size.height
        numbers = self.ring.shown(len(self.ring) - height, height)
        return [(number, part) for number in numbers for part in self._parts(number)][-height:]

    def _parts(self, number: int) -> list[str]:
        line = self.ring.line(number)
        if not self.wrap:
            return [line[self._left :]]
        return folded(line, max(8, self.size.width))

    def _first_shown(self) -> int:
        rows = self._rows()
        return rows[0][0] if rows else self.ring.end

    def _last_start(self) -> int:
        """The position from which the window shows the end."""
        rows = self._last_rows()
        return self.ring.position(rows[0][0]) if rows else 0

    def _go(self, position: int) -> None:
        found = self.ring.shown(max(0, position), 1)
        self._anchor = found[0] if found else self.ring.end
        self._changed()

    def _changed(self) -> None:
        self.refresh()
        self.post_message(self.Changed())


def folded(line: str, cells: int) -> list[str]:
    """`line` in pieces of at most `cells` cells."""
    if width(line) <= cells:
        return [line]
    parts, part, used = [], "", 0
    for char in line:
        step = char_width(char)
        if used + step > cells:
            parts.append(part)
            part, used = "", 0
        part += char
        used += step
    return [*parts, part]
