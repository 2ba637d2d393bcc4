"""The lines of a log view: the newest kept, filtered by an index. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from tui.render import wanted

LINE_CELLS = 1000


class Ring:
    """Keeps the last `cap` lines. Lines are named by their number, which grows for ever; older ones that are put in
    front get smaller numbers, below zero too.

    Old lines are cut in chunks of a tenth, so that cutting costs nothing per line.
    """

    def __init__(self, cap: int = 100_000, mark: str = "…") -> None:
        self._cap = cap
        self._mark = mark
        self._lines: list[str] = []
        self._first = 0
        self._cut = False
        self._pattern = ""
        self._hits: list[int] = []

    @property
    def pattern(self) -> str:
        return self._pattern

    @property
    def end(self) -> int:
        """The number after the last line."""
        return self._first + len(self._lines)

    def __len__(self) -> int:
        """How many lines the filter lets through."""
        return len(self._hits) if self._pattern else len(self._lines)

    def append(self, lines: Sequence[str]) -> int:
        """Take lines; answers how many of them the filter lets through."""
        at = self.end
        self._lines += [self._bounded(line) for line in lines]
        found = len(lines)
        if self._pattern:
            hits = [at + index for index, line in enumerate(lines) if wanted(self._pattern, line)]
            self._hits += hits
            found = len(hits)
        if len(self._lines) > self._cap + self._cap // 10:
            self._trim(len(self._lines) - self._cap)
        return found

    @property
    def whole(self) -> bool:
        """Whether older lines can still be put in front: nothing was cut there, and there is room."""
        return not self._cut and len(self._lines) < self._cap

    def prepend(self, lines: Sequence[str]) -> None:
        """Take lines older than all; the numbers of those that are there stay. Only while `whole`."""
        self._lines[:0] = [self._bounded(line) for line in lines]
        self._first -= len(lines)
        if self._pattern:
            self._hits[:0] = [self._first + i for i, line in enumerate(lines) if wanted(self._pattern, line)]

    def clear(self) -> None:
        self._first = self.end
        self._lines, self._hits = [], []

    def filter(self, pattern: str) -> None:
        """Show only lines that `pattern` lets through; empty shows all."""
        self._pattern = pattern
        self._hits = []
        if pattern:
            self._hits = [self._first + i for i, line in enumerate(self._lines) if wanted(pattern, line)]

    def line(self, number: int) -> str:
        """The line of that number, which must be one of `shown`."""
        return self._lines[number - self._first]

    def shown(self, start: int, count: int) -> list[int]:
        """Numbers of up to `count` lines from position `start` among those that the filter lets through."""
        start = max(0, start)
        if self._pattern:
            return self._hits[start : start + count]
        return list(range(self._first + start, min(self._first + start + count, self.end)))

    def position(self, number: int) -> int:
        """Where a line, or the first one after it, is among those that the filter lets through."""
        if self._pattern:
            return bisect_left(self._hits, number)
        return max(0, min(number - self._first, len(self._lines)))

    def _bounded(self, line: str) -> str:
        return line if len(line) <= LINE_CELLS else line[:LINE_CELLS] + self._mark

    def _trim(self, count: int) -> None:
        self._cut = True
        del self._lines[:count]
        self._first += count
        del self._hits[: bisect_left(self._hits, self._first)]
