"""What people are told of a decision. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from appliance.reconcile.admission import REASONS
from appliance.reconcile.backoff import History
from appliance.reconcile.decide import Action, Ensure, GiveUp, Wait
from appliance.reconcile.entry import Verdict


def of(action: Action, history: History, now: Verdict) -> Verdict | None:
    """What to say of `action`; None when what is said `now` still holds."""
    restarts, misses = history.restarts, history.misses
    match action:
        case Wait():
            verdict = Verdict(action.reason, action.message, action.until, restarts)
            # A deadline is not a next try: nothing is going to happen unless it passes.
            quiet = replace(verdict, reason="", message="", next_try_at=None)
            return verdict if history.next_try_at == action.until else quiet
        case GiveUp():
            return Verdict(action.reason, action.message, None, restarts, gave_up=True)
        case Ensure() if now.reason in REASONS:
            return None  # until it is admitted, that is still the reason
        case _ if misses > 1:
            message = f"its launcher did not answer {misses} times in a row; it is replaced when that goes on"
            return Verdict("launcher_unreachable", message, None, restarts)
        case _:
            return Verdict(restarts=restarts)
