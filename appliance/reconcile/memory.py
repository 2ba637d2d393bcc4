"""Whether the memory of this box holds one more instance: what it used before is what it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import Struct

from appliance.model import InstanceSpec

MIB = 2**20
# A Node-RED with its first flows and its launcher, where nothing was measured yet.
FIRST_BYTES = 160 * MIB
# Left to the kernel, the appliance and what runs already.
FLOOR_BYTES = 64 * MIB


class Short(Struct, frozen=True):
    """It does not fit. `passing`: it would, once those that are starting now have what they need."""

    message: str
    passing: bool


class Memory:
    """`available_bytes`: what the kernel can hand out; `peak_bytes`: the most that an instance was seen to use."""

    def __init__(self, available_bytes: Callable[[], int | None], peak_bytes: Callable[[str], int | None]) -> None:
        self._available_bytes = available_bytes
        self._peak_bytes = peak_bytes

    def short(self, spec: InstanceSpec, starting: Iterable[str], *, alone: bool = False) -> Short | None:
        """Why `spec` should not be started beside what runs and what is `starting`; None when it may be.

        `alone`: nothing else runs. Then there is nobody to suspend, and what a leak once took is no reason to keep it
        down for ever: it needs no more than any other.
        """
        available = self._available_bytes()
        if available is None:
            return None
        peak = self._peak_bytes(spec.id)
        need = peak or FIRST_BYTES
        if alone:
            need = min(need, FIRST_BYTES)
        ahead = sum(self._peak_bytes(other) or FIRST_BYTES for other in starting if other != spec.id)
        if need + FLOOR_BYTES > available:
            by = "by its last run" if peak else "as others do"
            # To ten, so that people are not told anew at every look.
            free = available // MIB // 10 * 10
            return Short(
                f"it needs about {need // MIB} MB {by} and {FLOOR_BYTES // MIB} MB must stay free, "
                f"about {free} MB are; suspend another instance. It starts by itself once there is room",
                passing=False,
            )
        if need + ahead + FLOOR_BYTES > available:
            return Short("waiting until those that are starting have the memory they need", passing=True)
        return None
