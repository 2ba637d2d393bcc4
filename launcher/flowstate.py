"""Why Node-RED is up and its flows are not: what its events say, in bounds, and told on at a pace of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
from msgspec import Struct, field

PAUSE_S = 1.0  # a flow may write as many of these events as it likes
_NAMES, _NAME_CHARS = 10, 80

_SENTENCES = {
    "missing_types": "Its flows are stopped: these node types are not installed: {}.",
    "missing_modules": "Its flows are stopped: these modules could not be loaded: {}.",
    "credentials_load_failed": "Its flows are stopped: their credentials can't be decrypted.",
    "flows_stopped": "Its flows are stopped: somebody stopped them in the editor.",
}


class _Stopped(Struct, frozen=True):
    reason: str = ""
    names: list[str] = field(default_factory=list)


class FlowState:
    """`running` once they have started; stopped ones have a `reason`.

    `changed` is called soon after a change, at most once in `PAUSE_S`.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self.running, self.reason, self.message = False, "", ""
        self._changed = changed
        self._due: asyncio.TimerHandle | None = None

    def started(self, value: msgspec.Raw) -> None:
        self._set("", "")

    def stopped(self, value: msgspec.Raw) -> None:
        """`value`: `{reason, names}`, of which no more than can be read is kept."""
        told = msgspec.json.decode(value, type=_Stopped)
        reason = told.reason.replace("-", "_")
        if reason not in _SENTENCES:
            reason = "flows_stopped"
        names = ", ".join(name[:_NAME_CHARS] for name in told.names[:_NAMES])
        more = f" and {len(told.names) - _NAMES} more" if len(told.names) > _NAMES else ""
        self._set(reason, _SENTENCES[reason].format(names + more))

    def forget(self) -> None:
        """Its Node-RED has ended."""
        self.running, self.reason, self.message = False, "", ""
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _set(self, reason: str, message: str) -> None:
        if self.running is not bool(reason) and (reason, message) == (self.reason, self.message):
            return
        self.running, self.reason, self.message = not reason, reason, message
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(PAUSE_S, self._tell)

    def _tell(self) -> None:
        self._due = None
        self._changed()
