"""Loads the class of a place when somebody goes there: what is not looked at costs no time at the start."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from appliance.schema.instances import Instance
from tui.screens.registry import Place

if TYPE_CHECKING:
    from tui.app import WeirApp
    from tui.screens.frame import Frame


def load(place: Place) -> Callable[[WeirApp, tuple[Instance, ...]], Frame]:
    """What makes the screen of a place: its class."""
    module, _, name = place.screen.partition(":")
    found: Callable[[WeirApp, tuple[Instance, ...]], Frame] = getattr(import_module(module), name)
    return found
