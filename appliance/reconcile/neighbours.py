"""What the reconciler needs of the other parts, and how patient it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Protocol

from msgspec import Struct

from appliance.model import InstanceSpec, LauncherReport, Manner, Observation


class Wanted(Protocol):
    """What should be there, from the database."""

    async def specs(self) -> Sequence[InstanceSpec]: ...
    async def spec(self, instance_id: str) -> InstanceSpec | None: ...
    async def removed(self, instance_id: str) -> None: ...


class Launchers(Protocol):
    """The way to living launchers. Raises Unavailable. `command`: whether it is done, or will be told when it is."""

    async def info(self, at: InstanceSpec) -> LauncherReport: ...
    async def command(
        self, at: InstanceSpec, command: str, generation: int | None = None, manner: Manner = ...
    ) -> bool: ...


class Orphans(Protocol):
    """Told of launchers that the database does not know."""

    def __call__(self, orphans: Sequence[Observation]) -> None: ...


class Settings(Struct, frozen=True):
    """How patient the reconciler is."""

    start_timeout: timedelta
    stop_grace: timedelta
    starts_at_most: int  # at a time, however idle the processors are
    workers: int = 8
    resync_s: float = 60.0
    broker_up: Callable[[], bool] = lambda: True  # whether instances that start after the broker may start
    asks_new: bool = False  # launchers that were placed do not say by themselves that they are there
