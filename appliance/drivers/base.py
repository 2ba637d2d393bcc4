"""The driver contract. A driver places launchers and reports on them; it never speaks to Node-RED,
the database, the proxy or the broker."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import ClassVar, Protocol

from msgspec import Struct

from appliance.model import InstanceRef, InstanceSpec, Observation, Placement


class Capabilities(Struct, frozen=True):
    """What a driver can really enforce on this box."""

    limits_memory: bool = False
    limits_cpu: bool = False
    shell: bool = False
    private_network: bool = False


class Report(Protocol):
    """Progress of a placement: synchronous, never fails. `fraction` is 0…1."""

    def __call__(self, step: str, fraction: float) -> None: ...


class ShellCommand(Struct, frozen=True):
    """A program to run on the caller's terminal."""

    argv: tuple[str, ...]
    cwd: str
    env: dict[str, str]


class DriverError(Exception):
    """Root of what a driver may raise; the cause is chained."""


class DriverUnavailable(DriverError):
    """The thing behind the driver is away: try again."""


class PlacementFailed(DriverError):
    """This placement failed: back off. `reason` is a machine word."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class SpecInvalid(DriverError):
    """The spec can never be placed as written: do not retry."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Unsupported(DriverError):
    """This driver can't do that."""


class Driver(ABC):
    """Places launchers. Each numbered clause is one test of the contract suite, run on every driver.

    1. `ensure` is idempotent and convergent: same spec, nothing changes; changed generation, it replaces.
       It returns when the launcher is placed, not when Node-RED is up. It may be retried after any error.
    2. `ensure` is cancel-safe: whatever it leaves, `observe` reports truthfully; everything it creates is
       labelled with instance and generation first.
    3. `stop` is idempotent, waits until the whole process tree is gone, never raises for "already gone".
    4. `remove` implies `stop`; with `keep_data=False` the data goes last.
    5. `observe` never raises NotFound (an unknown ref is ABSENT), is cheap, has no side effect, is right after
       an appliance restart with an empty memory and while `ensure` runs (CREATING). What can't be known is
       UNKNOWN with a reason; it never guesses.
    6. `list` returns everything with our label, also what the database never heard of (orphans).
    7. `watch` is list-then-watch, survives a lost connection by listing again, may repeat and skip.
    8. The handle is opaque JSON without secrets; identity is proven (pid + start time, unit invocation id, …).
    9. Errors: DriverUnavailable, PlacementFailed, SpecInvalid, Unsupported. Nothing else crosses.
    10. Blocking client libraries run in the driver's own bounded executor; the event loop never blocks.
    11. `report(step, fraction)` is synchronous and never fails.
    """

    name: ClassVar[str]
    capabilities: ClassVar[Capabilities]

    @abstractmethod
    async def open(self) -> None: ...

    @abstractmethod
    async def close(self) -> None: ...

    @abstractmethod
    async def ensure(self, spec: InstanceSpec, *, report: Report) -> Placement: ...

    @abstractmethod
    async def stop(self, ref: InstanceRef, *, grace: timedelta) -> None: ...

    @abstractmethod
    async def remove(self, ref: InstanceRef, *, keep_data: bool = True) -> None: ...

    @abstractmethod
    async def observe(self, ref: InstanceRef) -> Observation: ...

    @abstractmethod
    async def list(self) -> Sequence[Observation]: ...

    @abstractmethod
    def watch(self) -> AsyncIterator[Observation]: ...

    async def adjust(self, spec: InstanceSpec) -> str:
        """Have the limits of the spec hold for a launcher that lives, without placing it anew; what can't be enforced
        here, for people. Raises DriverUnavailable. The next `ensure` does the same."""
        return await self.lacks()

    async def lacks(self) -> str:
        """Which limits can't be enforced on this box, for people; empty when all can."""
        return "this driver enforces no limits"

    @abstractmethod
    async def shell(self, ref: InstanceRef) -> ShellCommand: ...
