"""What a command makes of what was wanted before. Pure."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from appliance.errors import Conflict, Invalid, WeirError
from appliance.model import Desired, Manner


class Wish(Struct, frozen=True):
    """What is wanted from now on. `placed_anew`: by a new launcher; `command`: the launcher has to do something, `so`
    says in which manner."""

    desired: Desired
    event: str
    placed_anew: bool = False
    command: bool = False
    so: tuple[str, ...] = ()


# `start` for an instance that is in one of these states has nothing to do.
_ON_ITS_WAY = frozenset({"running", "safe", "starting", "loading", "installing", "restarting"})

# In these there is no launcher, or it is about to start by itself and takes what it is told for done.
_DEAF = frozenset({"error", "loading", "installing", "suspending", "deleting"})


def start(desired: Desired, shown: str) -> Wish | None:
    """None when it runs, or is about to."""
    if desired is Desired.DELETING:
        raise _deleting()
    if desired is Desired.SUSPENDED:
        return Wish(Desired.RUNNING, "project.started", placed_anew=True)
    if desired is Desired.RUNNING and shown in _ON_ITS_WAY:
        return None
    # Given up for good with this launcher: only a new one is tried again.
    return Wish(Desired.RUNNING, "project.started", placed_anew=shown == "error", command=True)


def stop(desired: Desired, shown: str) -> Wish | None:
    """None when it is stopped already."""
    _refuse_suspended(desired)
    return None if desired is Desired.STOPPED else Wish(Desired.STOPPED, "project.stopped", command=True)


def restart(desired: Desired, shown: str) -> Wish | None:
    """Always something to do."""
    _refuse_suspended(desired)
    return Wish(Desired.RUNNING, "project.restarted", command=True)


def restart_so(manner: Manner) -> Callable[[Desired, str], Wish]:
    """A restart in a manner of its own, which only a launcher that listens can be told."""

    def decide(desired: Desired, shown: str) -> Wish:
        _refuse_suspended(desired)
        if shown in _DEAF:
            raise Conflict(
                f"The instance is '{shown}': there is no launcher that could be told so now.",
                code="invalid_state",
                hint="Ask again when it has started, or stop it first.",
            )
        so = tuple(name for name in ("safe", "now") if getattr(manner, name))
        return Wish(Desired.RUNNING, "project.restarted", command=True, so=so)

    return decide


def restart_stack(desired: Desired, shown: str) -> Wish | None:
    """Always something to do."""
    if desired is Desired.DELETING:
        raise _deleting()
    return Wish(Desired.RUNNING, "project.stack.restart", placed_anew=True, command=True)


def suspend(desired: Desired, shown: str) -> Wish | None:
    """Always something to do."""
    _refuse_suspended(desired)
    return Wish(Desired.SUSPENDED, "project.suspended")


def delete(desired: Desired, shown: str) -> Wish | None:
    """None when it is being deleted already."""
    return None if desired is Desired.DELETING else Wish(Desired.DELETING, "project.deleted")


def suspended() -> Invalid:
    """The error for an instance that is suspended."""
    return Invalid("The instance is suspended.", code="project_suspended", hint="Start it: weir instance start NAME")


def _refuse_suspended(desired: Desired) -> None:
    if desired is Desired.DELETING:
        raise _deleting()
    if desired is Desired.SUSPENDED:
        raise suspended()


def _deleting() -> WeirError:
    return Conflict("The instance is being deleted.", code="invalid_state", hint="Create a new one when it is gone.")
