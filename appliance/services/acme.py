"""Keeps the box's certificate of an ACME authority, where one is configured."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
import time
from collections.abc import Awaitable, Callable

import msgspec
from msgspec import Struct

from appliance.config import Acme, Home
from appliance.errors import WeirError
from appliance.services.conditions import Conditions
from appliance.system import acme
from appliance.system.files import make_private_dir, write_atomic

log = logging.getLogger(__name__)

KEY = "acme"
EVERY_S = 12 * 3600.0
# Authorities count failures: Let's Encrypt allows five an hour for each name.
AGAIN_S = (120.0, 900.0, 3600.0, 4 * 3600.0)
# Whoever has mended the cause starts the box anew and need not wait for hours; a box that starts anew all the time asks
# four times in the first hour, and twice in each after it.
AFTER_START_S = 1800.0
SETTLED_S = 20.0  # nginx has to show what the authority wants to see

Renew = Callable[[Home, Acme], Awaitable[bool]]


class Tries(Struct, frozen=True):
    """How it went: asked `failures` times in vain, last at `at` (seconds since 1970), for the configuration `of`."""

    failures: int = 0
    at: float = 0.0
    of: str = ""


class AcmeKeeper:
    """Asks twice a day, and after a failure again with growing pauses, which outlive this process: one that ends again
    and again must not use up what the authority allows. `changed` is called for another certificate."""

    def __init__(
        self,
        home: Home,
        config: Acme,
        conditions: Conditions,
        changed: Callable[[], None],
        renew: Renew = acme.renew,
        settled_s: float = SETTLED_S,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._home = home
        self._config = config
        self._conditions = conditions
        self._changed = changed
        self._renew = renew
        self._settled_s = settled_s
        self._now = now
        self._file = home.tls / "acme" / "tries.json"
        self._of = hashlib.sha256(msgspec.json.encode(config)).hexdigest()

    async def run(self) -> None:
        """For ever."""
        await asyncio.sleep(max(self._settled_s, await asyncio.to_thread(self.first_pause_s)))
        while True:
            failures = await self.ask()
            pause_s = _pause_s(failures) if failures else EVERY_S
            await asyncio.sleep(pause_s * random.uniform(0.9, 1.1))  # noqa: S311 - only spreads the load

    def first_pause_s(self) -> float:
        """How long a process that was just started has to wait for the pause that another one began. Blocks."""
        tries = self._tries()
        if not tries.failures:
            return 0.0
        pause_s = min(_pause_s(tries.failures), AFTER_START_S)
        since_s = self._now() - tries.at
        return pause_s - since_s if 0 <= since_s < pause_s else pause_s if since_s < 0 else 0.0

    async def ask(self) -> int:
        """Ask once; how often in a row that has failed now. An end in the middle of it counts as a failure."""
        failures = (await asyncio.to_thread(self._tries)).failures + 1
        await asyncio.to_thread(self._note, failures)
        if not await self.look():
            return failures
        await asyncio.to_thread(self._note, 0)
        return 0

    def _tries(self) -> Tries:
        """What is known of this configuration; with another one everything is tried anew."""
        try:
            tries = msgspec.json.decode(self._file.read_bytes(), type=Tries)
        except (OSError, msgspec.DecodeError):
            return Tries()
        return tries if tries.of == self._of else Tries()

    def _note(self, failures: int) -> None:
        try:
            make_private_dir(self._file.parent)
            write_atomic(self._file, msgspec.json.encode(Tries(failures, self._now(), self._of)), 0o600)
        except OSError as error:
            log.warning("ACME: the pause before the next try can't be noted: %s", error)

    async def look(self) -> bool:
        """Ask once; False when that failed, which is a problem that people are told of."""
        try:
            renewed = await self._renew(self._home, self._config)
        except (WeirError, OSError) as error:
            log.warning("ACME: %s", error)
            hint = error.hint if isinstance(error, WeirError) else "Look for a full or read-only disk: df -h"
            self._conditions.raise_(
                KEY,
                title="The certificate authority gave no certificate",
                cause=str(error),
                evidence=f"asked for {', '.join(self._config.domains)} at {self._config.directory}",
                next_step=hint,
            )
            return False
        self._conditions.clear(KEY)
        if renewed:
            log.info("ACME: there is a new certificate for %s", ", ".join(self._config.domains))
            self._changed()
        return True


def _pause_s(failures: int) -> float:
    return AGAIN_S[min(failures, len(AGAIN_S)) - 1]
