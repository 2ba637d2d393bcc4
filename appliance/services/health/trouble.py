"""What a check finds, and how it is kept from crying wolf."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

Seconds = Callable[[], float]


class Trouble(Struct, frozen=True):
    """Something wrong, as people read it: what, why, what was seen, what to do. `key` names it for good."""

    key: str
    title: str
    cause: str
    evidence: str = ""
    next_step: str = ""
    about: str | None = None  # instance id


class Check(Protocol):
    """Looks at one thing every `every_s`; a `quick` one also whenever somebody asks how the box is."""

    name: str
    every_s: float
    quick: bool

    async def look(self) -> Sequence[Trouble]:
        """All troubles of its kind now. Raises OSError or WeirError when nothing can be said."""


class Steady:
    """A value counts as bad only after it was bad without a break for `for_s`, and then until it is well again:
    one reading is no problem, and a value that flutters round its limit raises one problem, not twenty."""

    def __init__(self, for_s: float, uptime_s: Seconds) -> None:
        self._for_s = for_s
        self._uptime_s = uptime_s
        self._since: float | None = None
        self.bad = False

    def take(self, *, bad: bool, well: bool) -> bool:
        """Take a reading; between `bad` and `well` things stay as they are. The answer: is it a problem?"""
        now = self._uptime_s()
        if well:
            self._since, self.bad = None, False
        elif bad:
            self._since = now if self._since is None else self._since
            self.bad = self.bad or now - self._since >= self._for_s
        elif not self.bad:
            self._since = None
        return self.bad
