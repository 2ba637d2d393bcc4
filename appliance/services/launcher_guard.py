"""Published launchers and their Node-RED listen on all addresses and the launchers ask nobody who he is
(instance protocol L1): whoever reaches their ports stops instances and reads their logs. This keeps the network out."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from appliance.config import Config, Home, Listen
from appliance.services.addresses import INSTANCES
from appliance.services.conditions import Conditions
from appliance.services.health.trouble import Trouble
from appliance.system import netguard
from appliance.system.files import write_atomic
from appliance.system.netguard import GuardFailed, Ports

log = logging.getLogger(__name__)

LOOK_EVERY_S = 60.0  # another firewall may have emptied all tables
KEY = "launchers_on_the_network"


class LauncherGuard:
    """Sets the rule where published launchers are used, takes it away where they no longer are, and says when it
    can't."""

    def __init__(self, home: Home, config: Config, conditions: Conditions) -> None:
        self._home = home
        self._config = config
        self._conditions = conditions
        self._table = netguard.table_of(home.root)

    async def look(self) -> None:
        """Once. Never raises for a firewall that does not work: that is a problem people are told of."""
        wanted = bool(self._config.launcher.command) and self._config.launcher.firewall == "nft"
        try:
            await (self._set() if wanted else self._take_away())
        except (GuardFailed, OSError) as error:
            if not wanted:
                log.warning("the rule for published launchers can't be taken away: %s", error)
                return
            told = on_the_network(self._home, self._config.listen, str(error))
            self._conditions.raise_(
                told.key, title=told.title, cause=told.cause, evidence=told.evidence, next_step=told.next_step
            )
        else:
            self._conditions.clear(KEY)

    async def run(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self.look()

    async def _set(self) -> None:
        marker = _marker(self._home)
        known = await asyncio.to_thread(marker.exists)
        # First: whatever ends us in between, the rule is known to be there.
        await asyncio.to_thread(write_atomic, marker, f"{self._table}\n", 0o600)
        try:
            await netguard.ensure(self._table, guarded_ports(self._config.listen))
        except GuardFailed:
            if not known:
                await asyncio.to_thread(marker.unlink, missing_ok=True)
            raise

    async def _take_away(self) -> None:
        marker = _marker(self._home)
        if await asyncio.to_thread(marker.exists):
            await netguard.remove(self._table)
            await asyncio.to_thread(marker.unlink, missing_ok=True)


def guarded_ports(listen: Listen) -> list[Ports]:
    """What nobody outside this machine has to reach while published launchers are used."""
    return [Ports(base, min(base + INSTANCES - 1, 65535)) for base in (listen.node_red_base, listen.launcher_base)]


def on_the_network(home: Home, listen: Listen, why: str) -> Trouble:
    """The trouble of launchers that anybody on the network can reach."""
    ranges = ", ".join(f"{each.first}-{each.last}" for each in guarded_ports(listen))
    return Trouble(
        KEY,
        "The published launchers can be reached from the network",
        "They listen on all addresses and ask nobody who he is: whoever reaches them stops instances, reads their logs "
        "and changes their files. Weir could not put a firewall rule before them.",
        why,
        f'Close the TCP ports {ranges} to everything but this machine, then write firewall = "own" under [launcher] '
        f"in {home.config_file}; or run Weir as root with nftables; or use Weir's own launcher.",
    )


def _marker(home: Home) -> Path:
    return home.state / "launcher-guard"
