"""Driver names and where they live. A driver is imported when it is asked for, so that none costs memory unused."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from importlib import import_module

from appliance.drivers.base import Driver
from appliance.errors import Invalid

DRIVERS = {
    "localfs": "appliance.drivers.localfs:LocalFs",
}


def driver_class(name: str) -> Callable[..., Driver]:
    """The class behind `name`. Raises Invalid naming the known drivers."""
    if name not in DRIVERS:
        near = difflib.get_close_matches(name, DRIVERS, n=1)
        meant = f"did you mean '{near[0]}'?" if near else f"known drivers: {', '.join(sorted(DRIVERS))}"
        raise Invalid(f"unknown driver '{name}'; {meant}", hint="Correct `driver` in config.toml.")
    module, _, attribute = DRIVERS[name].partition(":")
    found: Callable[..., Driver] = getattr(import_module(module), attribute)
    return found
