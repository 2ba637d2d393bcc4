"""Puts the parts of one appliance together: what is made here is all there is, and each part is told of its
collaborators."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec
from msgspec import Struct

from appliance.auth.passwords import Passwords
from appliance.auth.secrets import BoxSecrets
from appliance.config import Config, Home
from appliance.drivers.base import Driver
from appliance.drivers.child import Child
from appliance.drivers.program import Command, Program
from appliance.drivers.published import Published
from appliance.drivers.registry import driver_class
from appliance.errors import Invalid
from appliance.events import Bus, Event
from appliance.launcher_client import LauncherClient
from appliance.model import Desired, InstanceSpec, Observation
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
from appliance.services.audit import Audit
from appliance.services.box import Box
from appliance.services.catalogue import catalogue
from appliance.services.conditions import Conditions
from appliance.services.context import Context
from appliance.services.deploys import Deploys
from appliance.services.directory import directory
from appliance.services.endpoints import Endpoints
from appliance.services.health.checks import health
from appliance.services.instances import Instances
from appliance.services.launcher_guard import LauncherGuard
from appliance.services.moves import Moves
from appliance.services.names import safe_name
from appliance.services.oauth import OAuth
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
from appliance.tasks import Tasks
from appliance.web.feed import Feed
from appliance.web.services import Services

ORPHAN = "orphan:"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


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
    names = AcceptedNames(config)
    context = Context(store, bus, clock, config, home, secrets, names.authorities)
    conditions = Conditions(clock, bus)
    observed, queue, readiness = Observed(bus, clock), KeyedQueue(), Readiness()
    hasher = Passwords()
    services = _services(context, names, hasher, conditions, observed, queue, readiness)
    driver = _driver(home, config, services)
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
        hasher=hasher,
        driver=driver,
        reconciler=reconciler,
        gate=gate,
        observed=observed,
        stopped_pages=stopped_pages,
        proxy=proxy,
        readiness=readiness,
        launcher_guard=guard,
    )


def _services(
    context: Context,
    names: AcceptedNames,
    hasher: Passwords,
    conditions: Conditions,
    observed: Observed,
    queue: KeyedQueue,
    readiness: Readiness,
) -> Services:
    audit = Audit(context)
    tokens = Tokens(context, audit, on_spent=partial(_raise_spent, conditions))
    known = Stacks(context, find=partial(stacks.find, context.home))
    latest, launchers = Latest(context.home.state / "peaks.json"), _launchers(context.config, tokens)
    instances = Instances(
        context,
        audit=audit,
        stacks=known,
        live=observed,
        poke=queue.poke,
        probe=sockets.port_free,
        resources=latest.of,
    )
    return Services(
        config=context.config,
        home=context.home,
        bus=context.bus,
        clock=context.clock,
        names=names.authorities,
        secrets=context.box,
        accounts=Accounts(context, audit, hasher),
        tokens=tokens,
        oauth=OAuth(context),
        teams=Teams(context, audit),
        instances=instances,
        storage=Storage(context),
        deploys=Deploys(context, audit=audit, conditions=conditions, restart=instances.restart),
        audit=audit,
        stacks=known,
        catalogue=catalogue(context, audit, versions=stacks.versions(), unbuild=partial(stacks.remove, context.home)),
        box=Box(
            context,
            instances=instances,
            health=health(context, conditions=conditions, instances=instances, stacks=known),
            conditions=conditions,
            ready=readiness,
        ),
        accepted=Accepted(context, audit, names),
        launchers=launchers,
        feed=Feed(context.bus),
        directory=directory(context, audit, hasher),
        resources=Resources(latest, instances=instances, launchers=launchers, conditions=conditions, bus=context.bus),
        snapshots=Snapshots(context, audit),
        endpoints=Endpoints(context, audit),
        library=TeamLibrary(context, audit),
    )


def _driver(home: Home, config: Config, services: Services) -> Driver:
    if config.placer != "child":
        raise Invalid(
            f"unknown placer '{config.placer}'; known placers: child", hint="Correct `placer` in config.toml."
        )
    executor = ThreadPoolExecutor(max_workers=4, thread_name_prefix="driver")

    async def ticket(spec: InstanceSpec) -> str:
        return await services.tokens.mint_ticket(spec.id, spec.generation)

    async def run(spec: InstanceSpec) -> str:
        return msgspec.json.encode(await services.tokens.mint_run(spec.id, spec.generation)).decode()

    program = launcher_program(home, config)
    return driver_class(config.driver)(
        home.instances,
        Child(home.instances, program, run if config.launcher.command else ticket, executor),
        executor,
        replace_grace=timedelta(seconds=config.limits.stop_grace_s),
    )


def launcher_program(home: Home, config: Config) -> Program:
    """How launchers are started; ours isolated (-I), so that nothing in an instance's directory can be imported."""
    env = {"PATH": PATH, "LANG": os.environ.get("LANG") or "C.UTF-8", "NODE_EXTRA_CA_CERTS": str(home.tls / "ca.crt")}
    if "TZ" in os.environ:
        env["TZ"] = os.environ["TZ"]
    url = f"http://{config.listen.host}:{config.listen.port}"
    if config.launcher.command:
        return Published(tuple(config.launcher.command), env, url)
    return Command((sys.executable, "-I", "-m", "launcher"), env, url)


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
        wanted=instances,
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
