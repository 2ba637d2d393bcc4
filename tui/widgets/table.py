"""A list with a cursor: one line per row, only changed rows are painted."""

from __future__ import annotations

from rich.segment import Segment
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tui.render import Column, Piece, layout, row
from tui.text import visible
from tui.theme import Theme

Rows = dict[str, list[Piece]]


class Table(Widget, can_focus=True):
    """Rows by key under a heading. The cursor stays on its key when rows come and go."""

    DEFAULT_CSS = "Table { width: 1fr; height: 1fr; }"

    class Moved(Message):
        """The cursor is on another row."""

    def __init__(self, theme: Theme, columns: tuple[Column, ...], *, empty: str) -> None:
        super().__init__()
        self._theme = theme
        self._columns = columns
        self._heading = 1 if any(column.title for column in columns) else 0  # lines
        self._empty = empty
        self._rows: Rows = {}
        self._keys: list[str] = []
        self._cursor = 0
        self._top = 0
        self._marks: set[str] = set()
        self.stale = False

    @property
    def key(self) -> str | None:
        """The key under the cursor; None when there are no rows."""
        return self._keys[self._cursor] if self._keys else None

    @property
    def keys(self) -> list[str]:
        return list(self._keys)

    @property
    def cells(self) -> list[Piece]:
        """The row under the cursor; empty when there are no rows."""
        return self._rows[self._keys[self._cursor]] if self._keys else []

    @property
    def marked(self) -> list[str]:
        """The keys of the marked rows that are shown, in their order."""
        return [key for key in self._keys if key in self._marks]

    @property
    def window(self) -> list[str]:
        """The keys of the rows that are on the screen."""
        return self._keys[self._top : self._top + self.page()]

    def mark(self) -> None:
        """Mark the row under the cursor, or take its mark away, and go on to the next."""
        if self.key is not None:
            self._marks ^= {self.key}
            self.refresh(Region(0, self._cursor - self._top + self._heading, self.size.width, 1))
            self.move(1)

    def unmark(self) -> bool:
        """Take all marks away; False when there were none."""
        had = bool(self._marks)
        self._marks.clear()
        if had:
            self.refresh()
        return had

    def show(self, rows: Rows, *, stale: bool = False, empty: str = "") -> None:
        """Take new rows; lines that look the same are left alone."""
        before, held = self._visible(), self.key
        self._marks &= rows.keys()
        self._empty = empty or self._empty
        same_look = stale == self.stale
        self._rows, self._keys, self.stale = rows, list(rows), stale
        self._cursor = self._keys.index(held) if held in rows else min(self._cursor, max(0, len(rows) - 1))
        self._follow_cursor()
        after = self._visible()
        if not same_look or not before or not after:
            self.refresh()
            return
        for y, (old, new) in enumerate(zip(before, after, strict=True)):
            if old != new:
                self.refresh(Region(0, y, self.size.width, 1))

    def move(self, by: int) -> None:
        self.move_to(self._cursor + by)

    def move_to(self, index: int) -> None:
        """Put the cursor on a row; beyond the ends it stays at them."""
        old_cursor, old_top = self._cursor, self._top
        self._cursor = max(0, min(index, len(self._keys) - 1))
        self._follow_cursor()
        if self._top != old_top:
            self.refresh()
        elif self._cursor != old_cursor:
            for each in (old_cursor, self._cursor):
                self.refresh(Region(0, each - self._top + self._heading, self.size.width, 1))
        if self._cursor != old_cursor:
            self.post_message(self.Moved())

    def page(self) -> int:
        """Rows on one page."""
        return max(1, self.size.height - self._heading)

    def last(self) -> int:
        return max(0, len(self._keys) - 1)

    def on_resize(self) -> None:
        self._follow_cursor()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        widths = layout(self._columns, width - 2)
        if y < self._heading:
            head = [(column.title, "head") for column in self._columns]
            return self._strip([("  ", "head"), *row(head, self._columns, widths, self._theme.more)], width)
        if not self._keys:
            return self._strip([("  " + visible(self._empty), "dim")] if y == self._heading + 1 else [], width)
        index = self._top + y - self._heading
        if index >= len(self._keys):
            return Strip.blank(width)
        cells = row(self._rows[self._keys[index]], self._columns, widths, self._theme.more)
        at_cursor = index == self._cursor
        sign = (">" if at_cursor else " ") + ("*" if self._keys[index] in self._marks else " ")
        return self._strip([(sign, "key"), *cells], width, cursor=at_cursor)

    def _strip(self, pieces: list[Piece], width: int, *, cursor: bool = False) -> Strip:
        if cursor:
            pieces = [("".join(text for text, _ in pieces), "plain")]
        style = self._theme.style
        segments = [Segment(text, style(name, cursor=cursor, stale=self.stale)) for text, name in pieces]
        return Strip(segments).adjust_cell_length(width)

    def _visible(self) -> list[tuple[str, list[Piece], bool] | None]:
        """What each line of the window shows, to be compared; None where it is empty."""
        lines: list[tuple[str, list[Piece], bool] | None] = [None] * self._heading
        for index in range(self._top, self._top + self.size.height - self._heading):
            key = self._keys[index] if index < len(self._keys) else None
            lines.append((key, self._rows[key], index == self._cursor) if key is not None else None)
        return lines if self._keys else []

    def _follow_cursor(self) -> None:
        """Scroll by pages: on a slow line a page at once is cheaper than line after line."""
        page = self.page()
        if self._cursor < self._top:
            self._top = max(0, self._cursor - page + 1)
        elif self._cursor >= self._top + page:
            self._top = self._cursor
        self._top = max(0, min(self._top, len(self._keys) - page))
