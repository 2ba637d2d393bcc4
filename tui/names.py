"""The names that may stand behind a word after `:`, for Tab."""

from __future__ import annotations

import os
import time

from tui import boxes, keys, people
from tui.client import Client
from tui.profile import Profile
from tui.state import Known

INSTANCE, TEAM, SCOPE, BOX = "instance", "team", "scope", "box"
PLATFORM = "platform"
GOOD_FOR_S = 60.0  # what was asked for lately is not asked for again


class Names:
    """Instances are known anyway; the teams are asked for when somebody is about to name one."""

    def __init__(self, client: Client, known: Known, profile: Profile) -> None:
        self._client = client
        self._known = known
        self._profile = profile
        self._teams: list[str] = []
        self._asked_at = -GOOD_FOR_S

    def kind(self, word: str) -> str:
        """What the name behind this word is one of; empty where it takes none."""
        place = keys.place_of(word)
        if place is not None:
            return place.about or place.takes
        found = keys.commands().get(word, [])
        return INSTANCE if any(each.scope == keys.INSTANCE for each in found) else ""

    def known(self, kind: str) -> list[str]:
        """The names of that kind, as far as they are known now."""
        if kind == INSTANCE:
            return [each.name for each in self._known.instances.values()]
        if kind == BOX:
            return list(boxes.read(os.environ).known) if self._profile.files else []
        if kind == SCOPE:
            return [*self._teams, *([PLATFORM] if self._known.rights.may("platform:audit-log") else [])]
        return self._teams if kind == TEAM else []

    def wanting(self, kind: str) -> bool:
        """Whether the box has to be asked for names of that kind."""
        return kind in (TEAM, SCOPE) and time.monotonic() - self._asked_at >= GOOD_FOR_S

    async def learn(self) -> None:
        """Ask for the teams. Raises BoxError."""
        self._asked_at = time.monotonic()
        found = await people.teams(self._client, everybodys=self._known.rights.may("team:list"))
        self._teams = [each.slug for each in found]
