"""Puts the parts of one appliance together: what is made here is all there is, and each part is told of its
collaborators."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct

from appliance.auth.passwords import Passwords
from appliance.auth.secrets import BoxSecrets
from appliance.brokering import broker_of
from appliance.config import Config, Home
from appliance.drivers.base import Driver
from appliance.events import Bus, Event
from appliance.launcher_client import LauncherClient
from appliance.model import SYSTEM, Desired, Observation, Phase
from appliance.placing import Adjusting, driver_of, reserved
from appliance.proxy import pages
from appliance.proxy.controller import Proxy
from appliance.proxy.model import Site
from appliance.published_client import PublishedClient
from appliance.reconcile.controller import Reconciler
from appliance.reconcile.gate import SocketGate
from appliance.reconcile.memory import Memory
from appliance.reconcile.neighbours import Settings
from appliance.reconcile.observed import Observed
from appliance.reconcile.queue import KeyedQueue
from appliance.reconcile.stopped_pages import StoppedPages
from appliance.services.accepted import CHANGED, Accepted, AcceptedNames
from appliance.services.accounts import Accounts
from appliance.services.acme import AcmeKeeper
from appliance.services.audit import Audit
from appliance.services.backup_sources import backups_of
from appliance.services.box import Box
from appliance.services.broker import BrokerDesk
from appliance.services.catalogue import catalogue
from appliance.services.conditions import Conditions
from appliance.services.context import Context
from appliance.services.deploys import Deploys
from appliance.services.directory import directory
from appliance.services.endpoints import Endpoints
from appliance.services.health.checks import health
from appliance.services.health.wear import WearCheck
from appliance.services.instances import Instances
from appliance.services.launcher_guard import LauncherGuard
from appliance.services.leases import LeaseWatch
from appliance.services.limits import InstanceLimits
from appliance.services.moves import Moves
from appliance.services.names import safe_name
from appliance.services.oauth import OAuth
from appliance.services.operations import Operations, acme_keeper, operations
from appliance.services.quota import DiskQuota
from appliance.services.resources import Latest, Resources
from appliance.services.snapshots import Snapshots
from appliance.services.stacks import Stacks
from appliance.services.storage import Storage
from appliance.services.team_library import TeamLibrary
from appliance.services.teams import Teams
from appliance.services.tokens import Tokens
from appliance.store.engine import Store
from appliance.system import resources, sockets, stacks
from appliance.system.load import IdleCpus
from appliance.system.mdns import Announced
from appliance.tasks import Tasks
from appliance.web.feed import Feed
from appliance.web.services import Services

if TYPE_CHECKING:
    from appliance.broker.controller import Broker

ORPHAN = "orphan:"


class Parts(Struct, frozen=True):
    """The running parts that `main` starts and stops."""

    services: Services
    names: AcceptedNames
    moves: Moves
    hasher: Passwords
    driver: Driver
    reconciler: Reconciler
    gate: SocketGate
    observed: Observed
    stopped_pages: StoppedPages
    proxy: Proxy
    readiness: Readiness
    launcher_guard: LauncherGuard
    broker: Broker | None
    acme: AcmeKeeper | None
    announced: Announced
    leases: LeaseWatch


class Ground(Struct, frozen=True):
    """What the services of one appliance stand on together."""

    context: Context
    names: AcceptedNames
    conditions: Conditions
    observed: Observed
    queue: KeyedQueue
    hasher: Passwords
    readiness: Readiness
    desk: BrokerDesk
    adjusting: Adjusting

    def up(self, instance_id: str) -> bool:
        """Whether its launcher was seen to run."""
        entry = self.observed.entry(instance_id)
        return entry is not None and entry.observation.phase is Phase.UP


class Readiness:
    """Whether the box has come up: everything was looked at once and nginx was given its configuration."""

    def __init__(self) -> None:
        self.ready = False

    def __call__(self) -> bool:
        return self.ready


def clock() -> datetime:
    return datetime.now(UTC)


def assemble(home: Home, config: Config, secrets: BoxSecrets, bus: Bus, store: Store, tasks: Tasks) -> Parts:
    """All parts of the appliance, connected and not yet running. Raises Invalid for an unknown driver or placer."""
    announced = Announced()
    names = AcceptedNames(config, local=announced)
    context = Context(store, bus, clock, config, home, secrets, names.authorities)
    conditions = Conditions(clock, bus)
    observed, queue, readiness = Observed(bus, clock), KeyedQueue(), Readiness()
    broker = broker_of(context, conditions)
    ground = Ground(
        context=context,
        names=names,
        conditions=conditions,
        observed=observed,
        queue=queue,
        hasher=Passwords(),
        readiness=readiness,
        desk=BrokerDesk(context, broker),
        adjusting=Adjusting(),
    )
    services = _services(ground)
    driver = driver_of(home, config, services.tokens)
    ground.adjusting.connect(driver, services.instances.spec)
    moves = Moves(context, services.audit)
    reconciler, proxy = _loops(services, driver, conditions, observed, queue, names, moves)
    gate = SocketGate(home.run / "up", observed, tasks)
    observed.connect(gate, reconciler.reported)
    stopped_pages = StoppedPages(partial(pages.render_stopped, home), partial(pages.remove_stopped, home))
    for listener in (observed.hear, stopped_pages.hear, partial(_poke_changed, queue), partial(_poke_named, proxy)):
        bus.listen(listener)
    guard = LauncherGuard(home, config, conditions)
    return Parts(
        services=services,
        names=names,
        moves=moves,
        hasher=ground.hasher,
        driver=driver,
        reconciler=reconciler,
        gate=gate,
        observed=observed,
        stopped_pages=stopped_pages,
        proxy=proxy,
        readiness=readiness,
        launcher_guard=guard,
        broker=broker,
        acme=acme_keeper(context, conditions, proxy.poke),
        announced=announced,
        leases=LeaseWatch(context, conditions, adjust=ground.adjusting),
    )


def _services(ground: Ground) -> Services:
    context, conditions = ground.context, ground.conditions
    audit = Audit(context)
    tokens = Tokens(context, audit, on_spent=partial(_raise_spent, conditions))
    known = Stacks(context, find=partial(stacks.find, context.home))
    latest, launchers = Latest(context.home.state / "peaks.json"), _launchers(context.config, tokens)
    instances = _instances(ground, audit, known, latest)
    looked_after = _operations(ground, audit, instances, latest)
    quota = _quota(ground, instances, launchers)
    return Services(
        config=context.config,
        home=context.home,
        bus=context.bus,
        clock=context.clock,
        names=ground.names.authorities,
        secrets=context.box,
        accounts=Accounts(context, audit, ground.hasher),
        tokens=tokens,
        oauth=OAuth(context),
        teams=Teams(context, audit),
        instances=instances,
        storage=Storage(context),
        deploys=Deploys(context, audit=audit, conditions=conditions, restart=instances.restart),
        audit=audit,
        stacks=known,
        catalogue=catalogue(context, audit, versions=stacks.versions(), unbuild=partial(stacks.remove, context.home)),
        box=_box(ground, instances, known, looked_after),
        broker=ground.desk,
        accepted=Accepted(context, audit, ground.names),
        launchers=launchers,
        feed=Feed(context.bus),
        directory=directory(context, audit, ground.hasher),
        resources=_resources(ground, instances, launchers, latest, looked_after),
        snapshots=Snapshots(context, audit),
        endpoints=Endpoints(context, audit),
        library=TeamLibrary(context, audit),
        quota=quota,
        limits=InstanceLimits(
            context, audit, adjust=ground.adjusting, used_mb=quota.used_mb, reserved=reserved(context.config)
        ),
        operations=looked_after,
        backups=backups_of(
            context, audit, conditions=conditions, instances=instances, up=ground.up, secret=tokens.api_secret
        ),
        sandboxed=context.home.installed,
    )


def _instances(ground: Ground, audit: Audit, known: Stacks, latest: Latest) -> Instances:
    return Instances(
        ground.context,
        audit=audit,
        stacks=known,
        live=ground.observed,
        poke=ground.queue.poke,
        probe=sockets.port_free,
        resources=latest.of,
    )


def _operations(ground: Ground, audit: Audit, instances: Instances, latest: Latest) -> Operations:
    return operations(
        ground.context,
        audit,
        conditions=ground.conditions,
        instances=instances,
        peak_bytes=latest.peak_bytes,
        up=ground.up,
        poke=ground.queue.poke,
    )


def _quota(ground: Ground, instances: Instances, launchers: LauncherClient) -> DiskQuota:
    home = ground.context.home
    return DiskQuota(
        home.root,
        home.state / "reserve",
        instances=instances,
        measure=launchers.disk,
        conditions=ground.conditions,
    )


def _box(ground: Ground, instances: Instances, known: Stacks, looked_after: Operations) -> Box:
    checks = health(
        ground.context,
        conditions=ground.conditions,
        instances=instances,
        stacks=known,
        further=[WearCheck(partial(looked_after.worn, SYSTEM))],
    )
    return Box(
        ground.context,
        instances=instances,
        health=checks,
        conditions=ground.conditions,
        ready=ground.readiness,
        operations=looked_after,
        broker=ground.desk,
    )


def _resources(
    ground: Ground, instances: Instances, launchers: LauncherClient, latest: Latest, looked_after: Operations
) -> Resources:
    return Resources(
        latest,
        instances=instances,
        launchers=launchers,
        conditions=ground.conditions,
        bus=ground.context.bus,
        written=looked_after.wear.written,
    )


def _launchers(config: Config, tokens: Tokens) -> LauncherClient:
    return PublishedClient() if config.launcher.command else LauncherClient(tokens.api_secret)


def _loops(
    services: Services,
    driver: Driver,
    conditions: Conditions,
    observed: Observed,
    queue: KeyedQueue,
    names: AcceptedNames,
    moves: Moves,
) -> tuple[Reconciler, Proxy]:
    config, instances = services.config, services.instances

    async def sites() -> list[Site]:
        specs = [spec for spec in await instances.specs() if spec.desired is not Desired.DELETING]
        return [Site(spec.id, spec.name, spec.public_port, spec.node_red_port, safe_name(spec.name)) for spec in specs]

    proxy = Proxy(
        services.home,
        config,
        sites=sites,
        raise_condition=conditions.raise_,
        clear_condition=conditions.clear,
        names=names,
        former=moves.former,
    )
    reconciler = Reconciler(
        driver=driver,
        wanted=services.operations.maintenance,
        launchers=services.launchers,
        observed=observed,
        queue=queue,
        orphans=partial(_tell_orphans, conditions, services.home),
        sites_changed=proxy.poke,
        clock=clock,
        memory=Memory(resources.memory_available_bytes, services.resources.peak_bytes),
        idle_cpus=IdleCpus(),
        settings=Settings(
            start_timeout=timedelta(seconds=config.limits.start_timeout_s),
            stop_grace=timedelta(seconds=config.limits.stop_grace_s),
            starts_at_most=4 * resources.cpus(),
            asks_new=bool(config.launcher.command),
            broker_up=lambda: not config.broker.enabled or services.broker.up,
        ),
    )
    return reconciler, proxy


def _poke_changed(queue: KeyedQueue, event: Event) -> None:
    if event.kind == "instance.changed":
        queue.poke(event.key)


def _poke_named(proxy: Proxy, event: Event) -> None:
    if event.kind == CHANGED:
        proxy.poke()


def _raise_spent(conditions: Conditions, instance_id: str, pid: int) -> None:
    conditions.raise_(
        f"ticket_spent:{instance_id}",
        title="A boot ticket was used twice",
        cause="Somebody else traded the launcher's one-use ticket, or a launcher was started by hand.",
        evidence=f"process {pid} came with a ticket that was spent",
        next_step="Suspend the instance and start it again; look at its flows for exec nodes that you don't know.",
        about=instance_id,
    )


def _tell_orphans(conditions: Conditions, home: Home, orphans: Sequence[Observation]) -> None:
    found = {f"{ORPHAN}{orphan.id}" for orphan in orphans}
    for condition in conditions.current():
        if condition.key.startswith(ORPHAN) and condition.key not in found:
            conditions.clear(condition.key)
    for orphan in orphans:
        directory = home.instances / orphan.id
        conditions.raise_(
            f"{ORPHAN}{orphan.id}",
            title="A launcher runs that Weir's database does not know",
            cause="Its row was removed from the database, or the database is older than the instance.",
            evidence=f"{directory}: {orphan.phase.value}, pid {orphan.pid or '-'}",
            next_step="Put back the database it belongs to; or stop the box, move that directory away, start again.",
        )
