"""Leased devices that are one and the same under two names: whose it is, and how the other is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from appliance.services.conditions import Conditions
from appliance.services.context import Context
from appliance.store import limits
from appliance.store.limits import Lease
from appliance.system import device_names
from appliance.system.device_names import Names, same

Look = Callable[[], Names]
LOOK: Look = device_names.names
Lost = Mapping[str, tuple[Lease, Lease]]
"""By the path of a lease that does not hold now: that lease, and the older one of the same device."""
EVERY_S = 30.0
KEY = "device_shared:"

log = logging.getLogger(__name__)


async def lost(leases: Sequence[Lease], look: Look) -> Lost:
    """Which leases another instance's comes before, with what is plugged in now. Looks only where there may be some."""
    if len({each.instance_id for each in leases}) < 2:
        return {}
    return lost_of(leases, await asyncio.to_thread(look))


def lost_of(leases: Sequence[Lease], known: Names) -> Lost:
    """The older lease holds; one that was lost itself takes nothing from others."""
    found: dict[str, tuple[Lease, Lease]] = {}
    holding: list[Lease] = []
    for each in sorted(leases, key=lambda lease: (lease.at, lease.path)):
        others = (old for old in holding if old.instance_id != each.instance_id)
        before = next((old for old in others if same(known, old.path, each.path)), None)
        if before is None:
            holding.append(each)
        else:
            found[each.path] = each, before
    return found


def words(lease: Lease, holder: Lease) -> str:
    """Why a lease does not hold, and what to do."""
    return (
        f"{lease.path} is now the same device as {holder.path}, which is leased to {_whose(lease, holder)}; "
        f"take it from one of them: weir instance limits NAME --no-device PATH"
    )


def _whose(lease: Lease, holder: Lease) -> str:
    """People of one team are not told what another one has; the box's own log says it."""
    return f"the instance '{holder.name}'" if holder.team_id == lease.team_id else "an instance of another team"


class LeaseWatch:
    """Takes a device from who leased it later under another name, while it runs, and tells people: it may have been
    plugged in after both were placed, and at a boot units get what they had. `adjust` sets an instance's limits."""

    def __init__(
        self,
        context: Context,
        conditions: Conditions,
        *,
        adjust: Callable[[str], Awaitable[str]],
        look: Look = LOOK,
    ) -> None:
        self._context = context
        self._conditions = conditions
        self._adjust = adjust
        self._look = look
        self._losers: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Look, for ever."""
        while True:
            await self.round()
            await asyncio.sleep(EVERY_S)

    async def round(self) -> None:
        """Look once."""
        leases = await self._context.store.read(limits.leases)
        found = await lost(leases, self._look)
        losing = {lease.instance_id: (lease, holder) for lease, holder in reversed([*found.values()])}  # the first
        for lease, holder in losing.values():
            self._raise(lease, holder)
        for gone in self._losers.difference(losing):
            self._conditions.clear(KEY + gone)
        for changed in sorted(self._losers.union(losing)):
            await self._adjust(changed)
        self._losers = frozenset(losing)

    def _raise(self, lease: Lease, holder: Lease) -> None:
        if lease.instance_id not in self._losers:
            log.warning("%s of %s is %s, which %s has", lease.path, lease.instance_id, holder.path, holder.instance_id)
        self._conditions.raise_(
            KEY + lease.instance_id,
            title=f"{lease.name} does not get {lease.path}",
            cause=f"It is another name of {holder.path}, which was leased to {_whose(lease, holder)} before.",
            evidence=f"udev says that {lease.path} and {holder.path} are one device now.",
            next_step=f"Take it from one of them: weir instance limits {lease.name} --no-device {lease.path}",
            about=lease.instance_id,
        )
