"""The certificate of the web server: it renews itself a month before its end, so one that runs out is a trouble."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from appliance.config import Home
from appliance.services.health.trouble import Trouble

SOON = timedelta(days=14)


class CertificateCheck:
    """Reads the two files of the box's own authority."""

    name = "certificate"
    every_s = 3600.0
    quick = False

    def __init__(self, home: Home, clock: Callable[[], datetime]) -> None:
        self._home = home
        self._clock = clock

    async def look(self) -> Sequence[Trouble]:
        return await asyncio.to_thread(judge, self._home, self._clock())


def judge(home: Home, now: datetime) -> list[Trouble]:
    """Troubles of the box's certificates at `now`; one that is not there is made when nginx is started. Blocks."""
    found = []
    for file, what in ((home.tls / "box.crt", "certificate"), (home.tls / "ca.crt", "certificate authority")):
        until = _until(file)
        if until is not None and until - now < SOON:
            found.append(_ending(file, what, until, now))
    return found


def _until(file: Path) -> datetime | None:
    try:
        return x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc
    except (OSError, ValueError):  # not there, or broken: it is made anew, or that fails and is told
        return None


def _ending(file: Path, what: str, until: datetime, now: datetime) -> Trouble:
    left = until - now
    over = left <= timedelta(0)
    return Trouble(
        f"certificate_ending:{file.name}",
        f"The {what} of this box {'has ended' if over else 'ends soon'}",
        "Browsers refuse the box then. It is renewed by itself long before, so the renewal fails"
        " or the clock is wrong.",
        f"{file}: good until {until:%Y-%m-%d}, {'over' if over else f'{left.days} days left'}",
        f"Check the clock (timedatectl) and that {file.parent} can be written; the appliance's log says why.",
    )
