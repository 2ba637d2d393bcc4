"""The certificate of the web server: it renews itself a month before its end, so one that runs out is a trouble. One
that was given is looked at: its dates, its key, its names."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from appliance.config import Config, Home
from appliance.errors import Invalid
from appliance.services.health.trouble import Trouble
from appliance.system import given, tls

SOON = timedelta(days=14)
BARE = Config()


class CertificateCheck:
    """Reads the files of the box's own authority, and those that were given."""

    name = "certificate"
    every_s = 60.0
    quick = False

    def __init__(self, home: Home, clock: Callable[[], datetime], config: Config = BARE) -> None:
        self._home = home
        self._clock = clock
        self._config = config

    async def look(self) -> Sequence[Trouble]:
        return await asyncio.to_thread(judge, self._home, self._clock(), self._config)


def judge(home: Home, now: datetime, config: Config = BARE) -> list[Trouble]:
    """Troubles of the box's certificates at `now`; one that is not there is made when nginx is started. Blocks."""
    found = _given(home, now, config)
    for file, what in ((home.tls / "box.crt", "certificate"), (home.tls / "ca.crt", "certificate authority")):
        until = _until(file)
        if until is not None and until - now < SOON:
            found.append(_ending(file, what, until, now))
    return found


def _given(home: Home, now: datetime, config: Config) -> list[Trouble]:
    try:
        used = given.given(home, config, now)
    except Invalid as error:
        return [_unusable(error)]
    if used is None:
        return []
    named = [name.name for name in tls.configured_names(config)]
    missing = given.uncovered(named, used.names)
    return [_uncovered(missing, sorted(used.names))] if missing else []


def _until(file: Path) -> datetime | None:
    try:
        return x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc
    except (OSError, ValueError):  # not there, or broken: it is made anew, or that fails and is told
        return None


def _unusable(error: Invalid) -> Trouble:
    return Trouble(
        "certificate_unusable",
        "The certificate that this box was given can't be used",
        f"{error.message[:1].upper()}{error.message[1:]}. The box's own certificate serves meanwhile.",
        "looked at a moment ago",
        error.hint,
    )


def _uncovered(missing: Sequence[str], names: Sequence[str]) -> Trouble:
    return Trouble(
        "certificate_names",
        f"The certificate is not good for {missing[0]}",
        f"Browsers refuse the box under {', '.join(missing)}: the certificate that it was given is for other names.",
        f"it is good for {', '.join(names[:10]) or 'no name at all'}",
        "Get one for all names of ingress.names (and *.DOMAIN in the access mode host), or take those names out.",
    )


def _ending(file: Path, what: str, until: datetime, now: datetime) -> Trouble:
    left = until - now
    over = left <= timedelta(0)
    return Trouble(
        f"certificate_ending:{file.name}",
        f"The {what} of this box {'has ended' if over else 'ends soon'}",
        "Browsers refuse the box then. The box renews its own by itself long before, and an ACME authority's a month"
        " before; a certificate of your own has to be replaced by you.",
        f"{file}: good until {until:%Y-%m-%d}, {'over' if over else f'{left.days} days left'}",
        f"Replace your own one (tls.certificate); else check the clock (timedatectl) and that {file.parent} can be"
        " written; the appliance's log says why.",
    )
