"""The instance services over a real store, furnished as at the first start; no reconciler, no network."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec.structs import replace

from appliance.config import Config, First
from appliance.events import Event
from appliance.model import InstanceSpec, Role, StackRef, Subject
from appliance.reconcile.observed import Observed
from appliance.schema.audit import AuditEntry
from appliance.schema.common import AuditQuery
from appliance.schema.instances import CreateInstance, Instance
from appliance.services.audit import Audit
from appliance.services.box import Box, Usage, measure
from appliance.services.conditions import Conditions
from appliance.services.context import Context
from appliance.services.deploys import Deploys
from appliance.services.first_run import FirstRun, furnish
from appliance.services.health.checks import health
from appliance.services.health.machine import Readings
from appliance.services.instances import Instances
from appliance.services.snapshots import Snapshots
from appliance.services.stacks import Stacks
from appliance.services.storage import Storage
from appliance.store import teams, users
from appliance.store.engine import Tx
from appliance.store.ids import new_id
from appliance.store.users import NewUser
from appliance.system.vitals import ClockState, Disk, Memory
from tests.stores import Clock, fresh_context

STACK = StackRef(name="node-red-5", node="/opt/node", node_red="/opt/nr")
GIB = 1024**3
ROOMY = Usage(1.0, GIB, 4 * GIB, GIB, 50 * GIB, 51 * GIB)
ROOMY_DISK = Disk("/box", 51 * GIB, 50 * GIB, 1_000_000, 900_000, read_only=False)
ROOMY_MEMORY = Memory(4 * GIB, 3 * GIB, 0, 0, 0)
WELL = Readings((ROOMY_DISK,), ROOMY_MEMORY, ClockState(synced=True, kept=True, service=True), None)


class Rig:
    """All services of instances; what they poked and published is kept."""

    def __init__(self, context: Context, clock: Clock, made: FirstRun, probe: Callable[[int], bool]) -> None:
        self.context = context
        self.clock = clock
        self.made = made
        self.pokes: list[str] = []
        self.events: list[Event] = []
        self.built: dict[str, StackRef] = {STACK.name: STACK}
        self.admin = Subject(kind="user", user_id=made.user_id, username="admin", admin=True)
        context.bus.listen(self.events.append)
        self.audit = Audit(context)
        self.stacks = Stacks(context, find=self.built.get)
        self.observed = Observed(context.bus, clock)
        self.instances = Instances(
            context, audit=self.audit, stacks=self.stacks, live=self.observed, poke=self.pokes.append, probe=probe
        )
        self.storage = Storage(context)
        self.conditions = Conditions(clock, context.bus)
        self.deploys = Deploys(context, audit=self.audit, conditions=self.conditions, restart=self.instances.restart)
        self.snapshots = Snapshots(context, self.audit)
        self.readings = WELL
        self.clock_set_by_s = 0.0  # a test that sets the clock says so here: the time that passed is another
        self.health = health(
            context,
            conditions=self.conditions,
            instances=self.instances,
            stacks=self.stacks,
            uptime_s=lambda: clock().timestamp() - self.clock_set_by_s,
            read=lambda home: self.readings,
        )
        self.box = Box(
            context,
            instances=self.instances,
            health=self.health,
            conditions=self.conditions,
            ready=lambda: True,
            usage=lambda directory: replace(measure(directory), **_roomy()),
        )

    async def create(self, name: str = "line-1", **fields: object) -> Instance:
        return await self.instances.create(self.admin, CreateInstance(name=name, **fields))  # type: ignore[arg-type]

    async def spec(self, instance_id: str) -> InstanceSpec:
        spec = await self.instances.spec(instance_id)
        assert spec is not None
        return spec

    async def entries(self, instance_id: str) -> list[AuditEntry]:
        return (await self.audit.page("project", instance_id, AuditQuery())).log

    async def member(self, name: str, role: Role, team_id: str | None = None) -> Subject:
        """A user with this role in a team (the first one), as a subject."""
        user_id = new_id()

        def work(tx: Tx) -> None:
            fields = {"id": user_id, "username": name, "name": name, "email": f"{name}@example.com"}
            users.add(tx, NewUser(**fields, password_hash="x", admin=False, default_team_id=None, created_at=1))
            teams.set_role(tx, team_id or self.made.team_id, user_id, role)

        await self.context.store.write(work)
        return Subject(kind="user", user_id=user_id, username=name)

    async def team(self, name: str) -> tuple[str, str]:
        """Another team with an application: both ids."""
        team_id, application_id = new_id(), new_id()

        def work(tx: Tx) -> None:
            teams.add(tx, team_id=team_id, name=name, slug=name, at=1)
            teams.add_application(tx, teams.ApplicationRow(application_id, team_id, f"{name} app", "", 1, 1))

        await self.context.store.write(work)
        return team_id, application_id


def _roomy() -> dict[str, int]:
    return {
        name: getattr(ROOMY, name)
        for name in ("memory_used_bytes", "memory_total_bytes", "disk_free_bytes", "disk_total_bytes")
    }


@asynccontextmanager
async def service_rig(
    root: Path, *, config: Config | None = None, probe: Callable[[int], bool] = lambda port: True
) -> AsyncIterator[Rig]:
    """A furnished box directory with its services; the store is closed afterwards."""
    clock = Clock()
    context = await fresh_context(root, clock=clock, config=config or Config())
    context = replace(context, names=lambda: ["box.test:8443", "localhost:8443"])
    try:
        made = await context.store.write(lambda tx: furnish(tx, First(), "x", context.now_ms()))
        yield Rig(context, clock, made, probe)
    finally:
        await context.store.close()
