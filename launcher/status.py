"""What the launcher says of its Node-RED: one state at a time, each change reported in order."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from launcher.appliance import Appliance
from launcher.config import Options
from launcher.schema import Info, State, StateReport


class Status:
    """The last state and the wish that was last carried out. `durations_ms`: how long each state lasted.

    `holding` goes out with the next state: the port is held for a Node-RED that takes it over shortly.
    """

    def __init__(
        self,
        options: Options,
        appliance: Appliance,
        versions: dict[str, str],
        node_red_pid: Callable[[], int | None],
        clock: Callable[[], float],
    ) -> None:
        self.state, self.reason, self.message = State.LOADING, "", ""
        self.generation = 0
        self.holding = False
        self._next_try_at: str | None = None
        self.durations_ms: dict[str, float] = {}
        self._options, self._appliance, self._versions = options, appliance, versions
        self._node_red_pid, self._clock = node_red_pid, clock
        self._seq = 0
        self._since = clock()

    def set(
        self,
        state: State,
        reason: str = "",
        message: str = "",
        *,
        always: bool = False,
        next_try_s: float | None = None,
    ) -> None:
        """Take on a state and report it; nothing when it is the old one, unless `always`.

        `next_try_s`: so many seconds from now the next start is due.
        """
        if (state, reason, message) == (self.state, self.reason, self.message) and not always:
            return
        if state is not self.state:
            now = self._clock()
            self.durations_ms[self.state] = (now - self._since) * 1000
            self._since = now
        self.state, self.reason, self.message = state, reason, message
        self._next_try_at = _iso(next_try_s) if next_try_s is not None else None
        self._seq += 1
        self._report()

    def again(self) -> None:
        """Report the same state, with a wish that it already fulfils."""
        self.set(self.state, self.reason, self.message, always=True)

    def audit(self, event: str, **fields: Any) -> None:
        self._appliance.audit({"timestamp": int(time.time() * 1000), "event": event, **fields})

    def info(self, started_ms: int, listening: bool) -> Info:
        return Info(
            id=self._options.instance,
            state=self.state,
            lastStartTime=started_ms,
            versions=self._versions,
            pid=os.getpid(),
            nodeRedPid=self._node_red_pid(),
            seq=self._seq,
            commandGeneration=self.generation,
            generation=self._options.generation,
            reason=self.reason,
            message=self.message,
            listening=listening,
            holding=self.holding,
            nextTryAt=self._next_try_at,
        )

    def _report(self) -> None:
        self._appliance.report(
            StateReport(
                state=self.state,
                seq=self._seq,
                pid=os.getpid(),
                nodeRedPid=self._node_red_pid(),
                commandGeneration=self.generation,
                versions=self._versions,
                reason=self.reason,
                message=self.message,
                at=_iso(0),
                holding=self.holding,
                nextTryAt=self._next_try_at,
            )
        )


def _iso(from_now_s: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=from_now_s)).isoformat(timespec="milliseconds")
