"""From the settings to Mosquitto's configuration. Pure: the same settings give the same text."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import jinja2
from msgspec.structs import asdict, replace

from appliance.broker.model import Settings
from appliance.errors import Invalid
from appliance.system import templates
from appliance.system.templates import Rendered

PACKET_BYTES = 16 * 2**20  # the largest message; project nodes send whole messages of Node-RED
QUEUED_BYTES = 8 * 2**20  # for a client that is away or slow
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def render(settings: Settings) -> Rendered:
    """The configuration. Raises Invalid for a path that would be more than one line of it."""
    for text in (settings.plugin, settings.security, settings.control, settings.user):
        if _CONTROL.search(text):
            raise Invalid(
                f"Mosquitto cannot take {text!r}: it holds a control character",
                code="invalid_path",
                hint="Choose another folder: --home DIR, or WEIR_HOME.",
            )
    return templates.versioned(lambda version: _text(settings, version))


def on_trial(settings: Settings, security: Path, control: Path) -> str:
    """The same without a port: what a second broker is started with that shows whether the first would start."""
    return _text(replace(settings, security=str(security), control=str(control), port=0, websocket_port=0), "on trial")


def _text(settings: Settings, version: str) -> str:
    return _template().render(
        asdict(settings),
        version=version,
        packet_bytes=PACKET_BYTES,
        queued_bytes=QUEUED_BYTES,
    )


@cache
def _template() -> jinja2.Template:
    return templates.load("mosquitto", "mosquitto.conf.j2")  # what is put in is checked above
