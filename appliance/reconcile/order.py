"""The order of starts: an instance may have to wait for others, or for the broker, but never for ever."""

from __future__ import annotations

import time
from collections.abc import Callable

from appliance.model import Desired, InstanceSpec, LauncherState
from appliance.reconcile.entry import SERVING, Verdict
from appliance.reconcile.observed import Observed

BROKER = "broker"
WAITS_S = 120.0
REASON = "waiting_for_others"


class Order:
    """Asked before each start. Who is not wanted, was given up, or crashed is waited for by nobody; after two minutes
    an instance is started whatever is missing: that it runs matters more than the order."""

    def __init__(
        self,
        observed: Observed,
        broker_up: Callable[[], bool] = lambda: True,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._observed = observed
        self._broker_up = broker_up
        self._monotonic_s = monotonic_s
        self._since: dict[str, float] = {}

    def refusal(self, spec: InstanceSpec) -> Verdict | None:
        """Why `spec` has to wait; None when it need not, or has waited long enough."""
        missing = [name for each in spec.after if (name := self._missing(each)) is not None]
        if not missing:
            self._since.pop(spec.id, None)
            return None
        since = self._since.setdefault(spec.id, self._monotonic_s())
        if self._monotonic_s() - since >= WAITS_S:
            return None
        return Verdict(REASON, f"waiting for {', '.join(missing)}, for two minutes at most")

    def _missing(self, other: str) -> str | None:
        if other == BROKER:
            return None if self._broker_up() else "the message broker"
        entry = self._observed.entry(other)
        if entry is None or entry.spec.desired is not Desired.RUNNING or entry.verdict.gave_up:
            return None
        state = entry.own_report.state if entry.own_report is not None else None
        return None if state in (*SERVING, LauncherState.CRASHED) else entry.spec.name
