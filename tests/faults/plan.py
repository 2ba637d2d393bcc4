"""Which faults, when, to whom: decided by the seed alone, before anything runs."""

from __future__ import annotations

import random
from collections.abc import Sequence

from msgspec import Struct

MEAN_PAUSE_S = 2.2
LEAST_PAUSE_S = 0.3
# A crash loop ends in safe mode, which takes a person to leave. So nobody's Node-RED is ended more often than this
# between two starts that somebody asked for; all else has to heal without a hand.
ENDS_IN_A_ROW = 3

WEIGHTS = {
    "kill node-red": 6,
    "terminate node-red": 2,
    "freeze node-red": 3,
    "crash": 3,
    "kill launcher": 5,
    "terminate launcher": 2,
    "freeze launcher": 3,
    "freeze launcher for long": 1,
    "kill launcher and node-red": 2,
    "kill appliance": 5,
    "terminate appliance": 2,
    "freeze appliance": 3,
    "kill appliance and launcher": 2,
    "kill everything": 1,
    "kill nginx": 2,
    "kill nginx worker": 2,
    "freeze nginx": 2,
    "fill disk": 3,
    "step clock": 3,
    "cut": 5,
    "restart": 4,
    "stop": 3,
    "suspend": 2,
    "start": 6,
    "name": 2,
}
ENDS_NODE_RED = {"kill node-red", "terminate node-red", "freeze node-red", "crash"}
# The last third of a run spares the appliance and one launcher: what they leak has to have time to show.
SPARED_FROM = 2 / 3
ENDS_APPLIANCE = {"kill appliance", "terminate appliance", "kill appliance and launcher", "kill everything"}
ENDS_LAUNCHER = {
    "kill launcher",
    "terminate launcher",
    "kill launcher and node-red",
    "suspend",
    "freeze launcher for long",
}
FORGIVES = {"restart", "stop", "suspend"}  # a start of what runs already changes nothing
CLOCK_STEPS_S = (-86_400.0, -3_600.0, -90.0, -2.0, 2.0, 90.0, 3_600.0, 86_400.0)
LASTS_S = {
    "freeze appliance": (0.2, 20.0),
    "freeze launcher": (0.2, 25.0),
    "freeze launcher for long": (60.0, 120.0),  # long enough to be given up and replaced
    "freeze node-red": (0.2, 8.0),
    "fill disk": (0.5, 12.0),
}
CUT = ("appliance", "launchers", "node-reds", "public", "everything")


class Step(Struct, frozen=True):
    """One fault. `seconds`: how long it lasts, or the pause before a dead appliance is started again."""

    at_s: float
    what: str
    whom: str
    seconds: float
    by: float | str = 0.0

    def __str__(self) -> str:
        return f"{self.what} {self.whom} {self.by or ''} ({self.seconds:.1f} s)"


def plan(seed: int, length_s: float, names: Sequence[str]) -> list[Step]:
    """The same for the same arguments."""
    chance = random.Random(seed)
    ends = dict.fromkeys(names, 0)
    steps: list[Step] = []
    at_s = 0.0
    while (at_s := at_s + LEAST_PAUSE_S + chance.expovariate(1 / MEAN_PAUSE_S)) < length_s:
        [what] = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))
        whom = chance.choice(list(names))
        if at_s > SPARED_FROM * length_s and (what in ENDS_APPLIANCE or (what in ENDS_LAUNCHER and whom == names[0])):
            what = "cut"
        seconds = _seconds(what, chance)
        by = _by(what, chance)
        if what in ENDS_NODE_RED and ends[whom] >= ENDS_IN_A_ROW:
            what = "restart"
        ends[whom] = 0 if what in FORGIVES else ends[whom] + (what in ENDS_NODE_RED)
        steps.append(Step(round(at_s, 2), what, whom, seconds, by))
    return steps


def _seconds(what: str, chance: random.Random) -> float:
    return round(chance.uniform(*LASTS_S.get(what, (0.2, 5.0))), 1)


def _by(what: str, chance: random.Random) -> float | str:
    if what == "step clock":
        return chance.choice(CLOCK_STEPS_S)
    return chance.choice(CUT) if what == "cut" else 0.0
