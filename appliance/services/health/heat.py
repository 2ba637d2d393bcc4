"""Heat: a board that becomes too hot slows down, then switches off."""

from __future__ import annotations

from appliance.services.health.trouble import Seconds, Steady, Trouble
from appliance.system.vitals import Heat

HOT_S = 60.0
WELL_BELOW_C = 5.0


class HeatCheck:
    """Weighs readings; a machine without a sensor has no trouble."""

    def __init__(self, uptime_s: Seconds) -> None:
        self._hot = Steady(HOT_S, uptime_s)

    def take(self, heat: Heat | None) -> list[Trouble]:
        """The trouble after this reading, if it is one."""
        if heat is None:
            return []
        hot = self._hot.take(bad=heat.now_c >= heat.limit_c, well=heat.now_c < heat.limit_c - WELL_BELOW_C)
        return [too_hot(heat)] if hot else []


def too_hot(heat: Heat) -> Trouble:
    """The trouble of a hot board."""
    return Trouble(
        "heat_high",
        "The box is too hot",
        "It is about to slow down, or does already, and may switch itself off.",
        f"{heat.sensor}: {heat.now_c:.0f} °C, the limit is {heat.limit_c:.0f} °C",
        "Give it air, a heat sink or a fan; look for a flow that keeps a processor busy: weir instance list",
    )
