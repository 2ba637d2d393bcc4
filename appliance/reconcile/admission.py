"""Whether an instance may start now: the processors have time for it, and the memory of the box holds it."""

from __future__ import annotations

from collections.abc import Callable

from appliance.model import InstanceSpec
from appliance.reconcile.entry import Verdict
from appliance.reconcile.memory import Memory
from appliance.reconcile.observed import Observed
from appliance.reconcile.order import REASON, Order
from appliance.reconcile.starts import Starts

REASONS = ("memory_short", "waiting_for_turn", REASON)


class Admission:
    """Asked before each start. Who is refused is called when its turn comes; who lacks memory has to ask again."""

    def __init__(self, memory: Memory, starts: Starts, observed: Observed, broker_up: Callable[[], bool]) -> None:
        self._memory = memory
        self._starts = starts
        self._order = Order(observed, broker_up)

    def refusal(self, spec: InstanceSpec, *, ran: bool, alone: bool) -> Verdict | None:
        """Why `spec` may not start now; None when it may, and then it holds a turn until it has settled. What `ran` a
        moment ago is never refused memory: it used it until now. `alone`: no other instance runs."""
        waits = None if ran else self._order.refusal(spec)
        if waits is not None:
            self._starts.declined(spec.id)
            return waits
        short = None if ran else self._memory.short(spec, self._starts.held, alone=alone)
        if short is not None and not short.passing:
            self._starts.declined(spec.id)
            return Verdict("memory_short", short.message, gave_up=True)
        if short is not None:
            return Verdict("waiting_for_turn", short.message)
        if not self._starts.take(spec.id, spec.number):
            return Verdict("waiting_for_turn", f"waiting for its turn: {len(self._starts.held)} others are starting")
        return None
