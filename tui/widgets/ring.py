"""The lines of a log view: the newest kept, filtered by an index. Pure."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence

from tui.filters import wanted
from tui.loglines import LEVEL_AT, LEVEL_CELLS

LINE_CELLS = 1000
ALL: frozenset[str] = frozenset()


class Ring:
    """Keeps the last `cap` lines. Lines are named by their number, which grows for ever; older ones that are put in
    front get smaller numbers, below zero too.

    Old lines are cut in chunks of a tenth, so that cutting costs nothing per line. Each line has a time in ms.
    """

    def __init__(self, cap: int = 100_000, mark: str = "…") -> None:
        self._cap = cap
        self._mark = mark
        self._lines: list[str] = []
        self._times = array("q")
        self._first = 0
        self._cut = False
        self._pattern = ""
        self._levels = ALL
        self._hits: list[int] = []
        self._last_passed = True  # whether the last line with a level passed: lines without one belong to it

    @property
    def pattern(self) -> str:
        return self._pattern

    @property
    def end(self) -> int:
        """The number after the last line."""
        return self._first + len(self._lines)

    @property
    def filtering(self) -> bool:
        """Whether some lines are kept from being shown."""
        return bool(self._pattern or self._levels)

    def __len__(self) -> int:
        """How many lines the filter lets through."""
        return len(self._hits) if self.filtering else len(self._lines)

    def append(self, lines: Sequence[str], times: Sequence[int] = ()) -> int:
        """Take lines; answers how many of them the filter lets through. Without `times` they are of the last one's."""
        at = self.end
        self._times.extend(times or [self._times[-1] if self._times else 0] * len(lines))
        self._lines += [line if len(line) <= LINE_CELLS else self._bounded(line) for line in lines]
        found = len(lines)
        if self.filtering:
            hits = self._passing(lines, at)
            self._hits += hits
            found = len(hits)
        if len(self._lines) > self._cap + self._cap // 10:
            self._trim(len(self._lines) - self._cap)
        return found

    @property
    def whole(self) -> bool:
        """Whether older lines can still be put in front: nothing was cut there, and there is room."""
        return not self._cut and len(self._lines) < self._cap

    def prepend(self, lines: Sequence[str], times: Sequence[int] = ()) -> None:
        """Take lines older than all; the numbers of those that are there stay. Only while `whole`."""
        self._lines[:0] = [self._bounded(line) for line in lines]
        self._times[:0] = array("q", times or [self.oldest] * len(lines))
        self._first -= len(lines)
        if self.filtering:
            passed, self._last_passed = self._last_passed, True
            self._hits[:0] = self._passing(lines, self._first)
            self._last_passed = passed

    @property
    def oldest(self) -> int:
        """The time of the first line in ms; 0 when there is none."""
        return self._times[0] if self._times else 0

    def number_at(self, time_ms: int) -> int:
        """The number of the first line at or after a time; `end` when there is none."""
        return self._first + bisect_left(self._times, time_ms)

    def clear(self) -> None:
        self._first, self._cut = self.end, True
        self._lines, self._hits, self._times = [], [], array("q")

    def filter(self, pattern: str, levels: frozenset[str] = ALL) -> None:
        """Show only lines that `pattern` lets through, and of these levels; empty ones let all through."""
        self._pattern, self._levels = pattern, levels
        self._last_passed = True
        self._hits = self._passing(self._lines, self._first) if self.filtering else []

    def line(self, number: int) -> str:
        """The line of that number, which must be one of `shown`."""
        return self._lines[number - self._first]

    def shown(self, start: int, count: int) -> list[int]:
        """Numbers of up to `count` lines from position `start` among those that the filter lets through."""
        start = max(0, start)
        if self.filtering:
            return self._hits[start : start + count]
        return list(range(self._first + start, min(self._first + start + count, self.end)))

    def position(self, number: int) -> int:
        """Where a line, or the first one after it, is among those that the filter lets through."""
        if self.filtering:
            return bisect_left(self._hits, number)
        return max(0, min(number - self._first, len(self._lines)))

    def _passing(self, lines: Sequence[str], start: int) -> list[int]:
        pattern = self._pattern
        if not self._levels:
            return [start + at for at, line in enumerate(lines) if wanted(pattern, line)]
        hits = []
        for at, line in enumerate(lines):
            level = line[LEVEL_AT : LEVEL_AT + LEVEL_CELLS].strip()
            if level:
                self._last_passed = level in self._levels
            if self._last_passed and wanted(pattern, line):
                hits.append(start + at)
        return hits

    def _bounded(self, line: str) -> str:
        return line if len(line) <= LINE_CELLS else line[:LINE_CELLS] + self._mark

    def _trim(self, count: int) -> None:
        self._cut = True
        del self._lines[:count]
        del self._times[:count]
        self._first += count
        del self._hits[: bisect_left(self._hits, self._first)]
