"""Keeps the box's certificate of an ACME authority, where one is configured."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from appliance.config import Acme, Home
from appliance.errors import WeirError
from appliance.services.conditions import Conditions
from appliance.system import acme

log = logging.getLogger(__name__)

KEY = "acme"
EVERY_S = 12 * 3600.0
# Authorities count failures: Let's Encrypt allows five an hour for each name.
AGAIN_S = (120.0, 900.0, 3600.0, 4 * 3600.0)
SETTLED_S = 20.0  # nginx has to show what the authority wants to see

Renew = Callable[[Home, Acme], Awaitable[bool]]


class AcmeKeeper:
    """Asks twice a day, and after a failure again with growing pauses. `changed` is called for another certificate."""

    def __init__(
        self,
        home: Home,
        config: Acme,
        conditions: Conditions,
        changed: Callable[[], None],
        renew: Renew = acme.renew,
        settled_s: float = SETTLED_S,
    ) -> None:
        self._home = home
        self._config = config
        self._conditions = conditions
        self._changed = changed
        self._renew = renew
        self._settled_s = settled_s

    async def run(self) -> None:
        """For ever."""
        await asyncio.sleep(self._settled_s)
        failures = 0
        while True:
            failures = 0 if await self.look() else failures + 1
            pause_s = AGAIN_S[min(failures, len(AGAIN_S)) - 1] if failures else EVERY_S
            await asyncio.sleep(pause_s * random.uniform(0.9, 1.1))  # noqa: S311 - only spreads the load

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
