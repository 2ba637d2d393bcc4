"""Where the user has been: back, forward, and to and fro. Pure."""

from __future__ import annotations

from msgspec import Struct

MOST = 50


class Visit(Struct, frozen=True):
    """A screen by its word, and the ids of what it was about."""

    word: str
    about: tuple[str, ...] = ()


class Visits:
    """The newest `MOST` visits and where among them the user is."""

    def __init__(self, first: Visit) -> None:
        self._all = [first]
        self._at = 0
        self._last: Visit | None = None

    @property
    def now(self) -> Visit:
        return self._all[self._at]

    def go(self, visit: Visit) -> None:
        """Somewhere new: what lay ahead is forgotten."""
        if visit == self.now:
            return
        self._last = self.now
        self._all = [*self._all[: self._at + 1], visit][-MOST:]
        self._at = len(self._all) - 1

    def step(self, by: int) -> Visit | None:
        """One back (-1) or forward (1); None at the end."""
        if not 0 <= self._at + by < len(self._all):
            return None
        self._last, self._at = self.now, self._at + by
        return self.now

    @property
    def last(self) -> Visit | None:
        """The visit before this one, wherever it was."""
        return self._last
