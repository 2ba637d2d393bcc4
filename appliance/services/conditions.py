"""What is wrong with the box now, in memory: raised and cleared by the parts that see it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec import Struct

from appliance.events import Bus, Event
from appliance.schema.box import Problem
from appliance.services.context import Clock
from appliance.store.values import iso, to_ms

log = logging.getLogger(__name__)
MOST = 500


class Condition(Struct, frozen=True):
    """Something wrong. `since` stays that of the first time while it is raised again and again."""

    key: str
    title: str
    cause: str
    evidence: str
    next_step: str
    about: str | None  # instance id
    since: datetime

    def problem(self) -> Problem:
        """As the API shows it."""
        return Problem(
            key=self.key,
            title=self.title,
            cause=self.cause,
            evidence=self.evidence,
            next_step=self.next_step,
            since=iso(to_ms(self.since)),
            about=self.about,
        )


class Conditions:
    """The registry of conditions: at most one per key. All methods are for the event loop."""

    def __init__(self, clock: Clock, bus: Bus) -> None:
        self._clock = clock
        self._bus = bus
        self._raised: dict[str, Condition] = {}
        bus.listen(self._hear)

    def raise_(
        self,
        key: str,
        *,
        title: str,
        cause: str,
        evidence: str = "",
        next_step: str = "",
        about: str | None = None,
    ) -> None:
        """Say that something is wrong, or that it still is; logged and announced when that is new."""
        known = self._raised.get(key)
        since = known.since if known is not None else self._clock()
        condition = Condition(key, title, cause, evidence, next_step, about, since)
        if condition == known:
            return
        self._raised[key] = condition
        if len(self._raised) > MOST:
            self._raised.pop(next(iter(self._raised)))
        if known is None or msgspec.structs.replace(condition, evidence=known.evidence) != known:
            log.warning("problem %s: %s (%s)", key, title, cause)
            self._bus.publish(Event("problem.raised", key, None, condition.problem()))

    def clear(self, key: str) -> None:
        """Say that it is right again; harmless when it was never raised."""
        if self._raised.pop(key, None) is not None:
            log.info("problem %s is over", key)
            self._bus.publish(Event("problem.cleared", key))

    def _hear(self, event: Event) -> None:
        """An instance that is gone has no problems."""
        if event.kind == "instance.removed":
            for key in [key for key, condition in self._raised.items() if condition.about == event.key]:
                self.clear(key)

    def current(self) -> Sequence[Condition]:
        """All that is wrong, what is so for longest first."""
        return sorted(self._raised.values(), key=lambda condition: condition.since)
