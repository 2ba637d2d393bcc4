"""Which certificate the box serves: the one that it was given, or its own while there is none that can be used."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime

from appliance.config import Config, Home
from appliance.errors import Invalid
from appliance.system import tls
from appliance.system.given import Given, given
from appliance.system.tls import AcceptedName, TlsFiles

log = logging.getLogger(__name__)


def ensure(home: Home, config: Config, names: Iterable[AcceptedName], *, now: datetime | None = None) -> TlsFiles:
    """The files that nginx serves, made or renewed when needed. Blocking (a few ms; disk flushes). Raises OSError when
    the disk refuses. What is wrong with a given one is told by `services.health.certificate`."""
    moment = now or datetime.now(UTC)
    return tls.ensure(home, names, now=moment, given=_usable(home, config, moment))


def _usable(home: Home, config: Config, now: datetime) -> Given | None:
    try:
        return given(home, config, now)
    except Invalid as error:
        log.info("the box's own certificate is served: %s", error)
        return None
