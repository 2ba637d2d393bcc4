"""A state as sign and word; colour only repeats what they say. Pure."""

from __future__ import annotations

from enum import StrEnum

UP = frozenset({"running"})
CHANGING = frozenset(
    {"loading", "installing", "starting", "stopping", "restarting", "suspending", "importing", "rollback", "deleting"}
)
DOWN = frozenset({"stopped", "suspended"})
BAD = frozenset({"crashed", "error"})


class Kind(StrEnum):
    """What a state means to the operator; themes colour by this."""

    UP = "up"
    CHANGING = "changing"
    DOWN = "down"
    BAD = "bad"
    ODD = "odd"  # works, but not as wanted, or can't be known


SIGNS = {Kind.UP: "+", Kind.CHANGING: "~", Kind.DOWN: "-", Kind.BAD: "x", Kind.ODD: "!"}


def kind(state: str) -> Kind:
    """What the wire's word means; a word that is not known is odd."""
    for states, found in ((UP, Kind.UP), (CHANGING, Kind.CHANGING), (DOWN, Kind.DOWN), (BAD, Kind.BAD)):
        if state in states:
            return found
    return Kind.ODD


def signed(state: str) -> str:
    """Sign and word: `+ running`."""
    return f"{SIGNS[kind(state)]} {state}"
