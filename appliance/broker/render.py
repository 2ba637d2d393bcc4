"""From the settings to Mosquitto's configuration. Pure: the same settings give the same text."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path

import jinja2
from msgspec import Struct
from msgspec.structs import asdict, replace

from appliance.broker.model import Settings
from appliance.errors import Invalid

PACKET_BYTES = 16 * 2**20  # the largest message; project nodes send whole messages of Node-RED
QUEUED_BYTES = 8 * 2**20  # for a client that is away or slow
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Rendered(Struct, frozen=True):
    """A whole configuration; `version` is what the running broker says once it uses it."""

    text: str
    version: str


def templates() -> Path:
    """Where the template is: beside the code when installed, else in the checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_data" / "mosquitto"
    return installed if installed.is_dir() else package.parent / "mosquitto"


def render(settings: Settings) -> Rendered:
    """The configuration. Raises Invalid for a path that would be more than one line of it."""
    for text in (settings.plugin, settings.security, settings.control, settings.user):
        if _CONTROL.search(text):
            raise Invalid(
                f"Mosquitto cannot take {text!r}: it holds a control character",
                code="invalid_path",
                hint="Choose another folder: --home DIR, or WEIR_HOME.",
            )
    version = hashlib.sha256(_text(settings, "0").encode()).hexdigest()[:16]
    return Rendered(_text(settings, version), version)


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
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates()),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - not HTML; what is put in is checked above
    )
    return environment.get_template("mosquitto.conf.j2")
