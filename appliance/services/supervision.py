"""How an instance is supervised: what people may set of it, and what its launcher is told. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appliance.errors import Invalid

POLICIES = ("retry", "safe", "stop")
LEAST_INTERVAL_MS = 5000
MOST_INTERVAL_MS = 3_600_000
LEAST_INSTALL_S = 60
MOST_INSTALL_S = 7200
MOST_AFTER = 16
BROKER = "broker"

DEFAULTS: dict[str, Any] = {
    "healthCheckInterval": 7500,
    "disableAutoSafeMode": False,
    "crashPolicy": "safe",
    "hotSpare": False,
    "installTimeout": 900,
    "startAfter": [],
}
"""What holds for an instance that says nothing (platform model §6 for the first two)."""


def changed(own: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings `own` after `given` was laid over them; None stands for the default.

    Raises Invalid naming the key and what it may be.
    """
    after = dict(own)
    for key, value in given.items():
        if key not in DEFAULTS:
            raise Invalid(f"launcherSettings has no '{key[:40]}'.", hint=f"Known: {', '.join(DEFAULTS)}.")
        # The default is written down, not left out: the published launcher keeps a safe mode that was switched off
        # until it hears the opposite (instance protocol §1.4).
        after[key] = DEFAULTS[key] if value is None else _checked(key, value)
    return after


def effective(own: Mapping[str, Any]) -> dict[str, Any]:
    """All settings with the defaults filled in; what was stored and makes no sense counts as not set."""
    return {key: own[key] if key in own and _allowed(key, own[key]) else value for key, value in DEFAULTS.items()}


def document(own: Mapping[str, Any]) -> dict[str, Any]:
    """The part that every launcher reads: what was set, nothing else (instance protocol §1.4)."""
    return {key: own[key] for key in ("healthCheckInterval", "disableAutoSafeMode") if _allowed(key, own.get(key))}


def of_weir(own: Mapping[str, Any]) -> dict[str, Any]:
    """The part that only Weir's launcher reads."""
    known = effective(own)
    return {key: known[key] for key in ("crashPolicy", "hotSpare", "installTimeout")}


def _checked(key: str, value: object) -> object:
    if not _allowed(key, value):
        raise Invalid(f"launcherSettings.{key} can't be {_named(value)}.", hint=_HINTS[key])
    return value


def _allowed(key: str, value: object) -> bool:
    if key == "crashPolicy":
        return isinstance(value, str) and value in POLICIES
    if key == "healthCheckInterval":
        return _between(value, LEAST_INTERVAL_MS, MOST_INTERVAL_MS)
    if key == "startAfter":
        return isinstance(value, list) and len(value) <= MOST_AFTER and all(isinstance(each, str) for each in value)
    if key == "installTimeout":
        return _between(value, LEAST_INSTALL_S, MOST_INSTALL_S)
    return isinstance(value, bool)


def _between(value: object, least: float, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


def _named(value: object) -> str:
    return repr(value)[:60]


_HINTS = {
    "crashPolicy": "It is one of: retry (for ever), safe (safe mode after five crashes in a row), stop (stay stopped).",
    "healthCheckInterval": f"It is a number of milliseconds from {LEAST_INTERVAL_MS} to {MOST_INTERVAL_MS}.",
    "disableAutoSafeMode": "It is true or false.",
    "hotSpare": "It is true or false.",
    "startAfter": f'It is a list of at most {MOST_AFTER} instances (names or ids), or "broker".',
    "installTimeout": f"It is a number of seconds from {LEAST_INSTALL_S} to {MOST_INSTALL_S}.",
}
