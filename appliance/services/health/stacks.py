"""Stacks that instances want: not built, or no longer what was built."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from appliance.model import Desired
from appliance.services.health.trouble import Trouble
from appliance.services.stacks import Stacks, build_name
from appliance.store import instances as rows
from appliance.store.engine import Store

_WANTS_STACK = (Desired.RUNNING, Desired.STOPPED)
SOUND_S = 3600.0
BROKEN_S = 30.0  # also the time it leaves to a box that has just started and has better things to do

Wrong = Callable[[str], str]


async def wanted(store: Store) -> dict[str, list[str]]:
    """The instances that want each stack. One that nobody wants any more is no problem, whatever its state."""
    found: dict[str, list[str]] = {}
    for row in await store.read(rows.every):
        if row.desired in _WANTS_STACK:
            found.setdefault(build_name(row.stack_name, row.stack_properties), []).append(row.name)
    return found


class MissingStacks:
    """Stacks that are wanted and not built."""

    name = "missing stacks"
    every_s = 30.0
    quick = True

    def __init__(self, store: Store, stacks: Stacks) -> None:
        self._store = store
        self._stacks = stacks

    async def look(self) -> Sequence[Trouble]:
        needed = await wanted(self._store)
        built = await self._stacks.resolve_all(set(needed))
        return [_missing(name, names) for name, names in needed.items() if built[name] is None]


class BrokenStacks:
    """Stacks that are wanted and not whole; looked at more often while one is broken, so that the repair is seen."""

    name = "broken stacks"
    quick = False

    def __init__(self, store: Store, wrong: Wrong) -> None:
        self._store = store
        self._wrong = wrong
        self._settled = False
        self.every_s = BROKEN_S

    async def look(self) -> Sequence[Trouble]:
        if not self._settled:
            self._settled = True
            return []
        needed = await wanted(self._store)
        said = await asyncio.to_thread(lambda: {name: self._wrong(name) for name in needed})
        troubles = [broken(name, said[name], names) for name, names in needed.items() if said[name]]
        self.every_s = BROKEN_S if troubles else SOUND_S
        return troubles


def broken(name: str, said: str, names: Sequence[str]) -> Trouble:
    """The trouble of a stack whose files are not those that were built."""
    return Trouble(
        f"stack_broken:{name}",
        f"The stack {name} is broken",
        f"Files of it were removed or changed: {said}. Running instances go on until they are restarted.",
        f"wanted by {', '.join(names[:5])}" if names else "",
        f"Build it anew: weir stack build {name}. If it happens again, look for a failing disk: dmesg",
    )


def _missing(name: str, names: Sequence[str]) -> Trouble:
    return Trouble(
        f"stack_missing:{name}",
        f"The stack {name} is not built",
        "Instances that need it can't start.",
        f"wanted by {', '.join(names[:5])}",
        f"Run: weir stack build {name}",
    )
