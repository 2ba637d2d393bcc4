"""The composition root's life: open, run until told to end, close. Instances outlive it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from appliance import config as configuration
from appliance import logs, ports, ready
from appliance.assembly import Parts, assemble, clock
from appliance.auth.passwords import new_password
from appliance.auth.secrets import BoxSecrets, open_box
from appliance.brokering import end_leftover
from appliance.config import Config, Home
from appliance.errors import Conflict, Invalid, NotFound, Unavailable, WeirError
from appliance.events import Bus
from appliance.model import SYSTEM, Phase
from appliance.proxy.controller import Proxy, check_names
from appliance.schema.instances import CreateInstance
from appliance.services.health.restarts import Starts
from appliance.services.instances import Instances
from appliance.store.engine import Store
from appliance.store.migrate import ensure_schema
from appliance.system import certificates, stacks
from appliance.system.access import access_of
from appliance.system.files import SingleInstanceLock, make_private_dir, sweep, write_atomic
from appliance.system.lean import trim
from appliance.system.notify import notify, watchdog
from appliance.system.swap import recover
from appliance.tasks import Tasks
from appliance.web.app import build
from appliance.web.listeners import Listeners
from appliance.web.services import Services

log = logging.getLogger(__name__)

# A list of 500 instances is made of more objects than Python's 700, and was looked through dozens of times while it was
# made: half of its time. So many that are garbage are a megabyte or two.
GARBAGE_AFTER = 10_000
PROXY_S = 15.0  # how long readiness waits for nginx's first configuration


def lock_of(home: Home) -> SingleInstanceLock:
    """Held by the appliance of this home while it runs."""
    return SingleInstanceLock(home.run / "appliance.lock")


def first_password_file(home: Home) -> Path:
    """The first administrator's password, until somebody has shown it."""
    return home.state / "first-admin-password"


def prepare(home: Home) -> None:
    """Make the directories of a box. Raises Unavailable."""
    try:
        for directory in (home.root, home.run, home.logs):
            directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        make_private_dir(home.state)
    except OSError as error:
        hint = "Choose another directory with --home, or let this account write there."
        raise Unavailable(f"cannot make {error.filename}: {error.strerror}", hint=hint) from error


async def serve(root: Path) -> int:
    """Run the appliance of the box at `root` (absolute) until SIGTERM or SIGINT. Raises WeirError when it can't start.

    The first signal ends it in order, the second at once; instances keep running either way.
    """
    home = Home(root)
    prepare(home)
    lock = lock_of(home)
    lock.acquire()
    try:
        if await asyncio.to_thread(recover, home.root):
            log.warning("brought a restore to its end that was interrupted")
        return await _serve(home)
    except OSError as error:  # a write that nobody foresaw: a full or failing disk
        log.debug("the start failed", exc_info=error)
        hint = f"Look for a full or read-only disk: df -h {home.root}"
        raise Unavailable(f"the box cannot be run: {error}", hint=hint) from error
    finally:
        lock.release()


async def _serve(home: Home) -> int:
    ready.clear(home)
    own = (home.run, home.state, home.tls, home.nginx, home.nginx / "pages", home.mosquitto, home.root / "backups")
    await asyncio.to_thread(sweep, *own)
    written = configuration.load(home.root)
    turn = await asyncio.to_thread(ports.Turn, home, written)
    config = ports.settle(home, written)
    logs.log_to_stderr(config.log_level)
    check_names(config)
    stop = _signals()
    starts = Starts(home, clock)
    await _noted(starts.begin)
    async with _running(home, config) as parts:
        await _say_ready(home, parts)
        turn.end()
        await stop.wait()
        notify("STOPPING=1")
        log.info("stopping; instances keep running")
        ready.clear(home)
    await _noted(starts.end)
    return 0


async def _noted(note: Callable[[], None]) -> None:
    """Counting sudden ends is no reason not to start, or not to end."""
    try:
        await asyncio.to_thread(note)
    except OSError as error:
        log.warning("this start or stop can't be noted: %s", error)


def _signals() -> asyncio.Event:
    """Set by the first signal; the second ends the process at once (everything on disk is safe to be left so)."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def received() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, received)
    return stop


@asynccontextmanager
async def _running(home: Home, config: Config) -> AsyncIterator[Parts]:
    """Everything started, in the order in which each part needs the others; closed in the opposite order."""
    async with AsyncExitStack() as stack:
        bus = Bus()
        secrets = await asyncio.to_thread(_open_state, home)
        store = await Store.open(home.database, bus)
        stack.push_async_callback(store.close)
        tasks = Tasks()
        parts = assemble(home, config, secrets, bus, store, tasks)
        stack.callback(parts.hasher.close)
        stack.push_async_callback(parts.services.launchers.close)
        stack.push_async_callback(parts.services.resources.keep)
        stack.push_async_callback(parts.services.operations.wear.keep)
        stack.push_async_callback(parts.services.backups.close)
        await _first_run(home, config, parts)
        await parts.services.accepted.load()
        await parts.services.operations.maintenance.load()
        await parts.moves.load()
        await parts.services.deploys.tell()
        for name in await asyncio.to_thread(stacks.built, home):
            await parts.services.catalogue.stacks.register(SYSTEM, name)
        await asyncio.to_thread(_certificates, home, parts)
        await end_leftover(home, config)
        parts.gate.open()
        await parts.launcher_guard.look()
        stack.push_async_callback(parts.reconciler.close)
        await parts.reconciler.start()
        _shut_gates(parts)
        logins = parts.services.directory.ssh_logins
        listeners = Listeners(build(parts.services), config, home, logins=logins)
        await listeners.open()
        stack.push_async_callback(listeners.close)
        stack.push_async_callback(tasks.close)
        stack.callback(bus.close)
        _start(parts, tasks)
        await _first_instance(parts.services)
        tasks.keep("nginx", parts.proxy.run)
        tasks.keep("log files", lambda: logs.keep_short(home.logs))
        yield parts


def _open_state(home: Home) -> BoxSecrets:
    secrets = open_box(home.state / "box.key", database=home.database)
    ensure_schema(home.database, report=log.info)
    return secrets


def _certificates(home: Home, parts: Parts) -> None:
    """Launchers get the CA's path: it is there before the first one starts. The proxy makes good what fails here."""
    try:
        covered = access_of(parts.services.config).certified(parts.names(), parts.moves.former().domain)
        certificates.ensure(home, parts.services.config, covered)
    except OSError as error:
        log.warning("the certificates can't be made yet: %s", error)


def _shut_gates(parts: Parts) -> None:
    """After a boot the flags of the last one lie around."""
    for instance_id in parts.gate.raised():
        entry = parts.observed.entry(instance_id)
        if entry is None or entry.observation.phase is not Phase.UP:
            parts.gate.lower(instance_id)


def _start(parts: Parts, tasks: Tasks) -> None:
    if parts.broker is not None:
        tasks.keep("message broker", parts.broker.run)
    tasks.keep("pages of stopped instances", parts.stopped_pages.run)
    tasks.keep("problems of the box", parts.services.box.watch)
    tasks.keep("resources", parts.services.resources.run)
    if parts.services.config.placer == "units":
        tasks.keep("disk of instances", parts.services.quota.run)
        tasks.keep("devices of instances", parts.leases.run)
    tasks.keep("keys for SSH", parts.services.directory.ssh_logins.run)
    if parts.services.config.launcher.command:
        tasks.keep("published launchers off the network", parts.launcher_guard.run)
    parts.services.operations.start(tasks, parts.acme)
    tasks.keep("name in the local network", parts.announced.run)
    tasks.keep("backups", parts.services.backups.run)
    tasks.start("watchdog", watchdog())
    parts.reconciler.run(tasks)


async def _first_run(home: Home, config: Config, parts: Parts) -> None:
    """The first administrator. A generated password is on disk before it is in force, so that it can't get lost."""
    accounts = parts.services.accounts
    if not await accounts.is_new():
        return
    if config.login.admin_password_file:
        await accounts.bootstrap(_given_password(Path(config.login.admin_password_file)))
        return
    file = first_password_file(home)
    password = file.read_text().strip() if file.exists() else new_password()
    write_atomic(file, password + "\n", 0o600)
    await accounts.bootstrap(password)
    log.info("made the administrator 'admin'; the first password is in %s", file)


def _given_password(file: Path) -> str:
    try:
        return file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        hint = "Put the first administrator's password into that file, or remove login.admin_password_file."
        raise Invalid(f"login.admin_password_file: {error}", hint=hint) from error


async def _first_instance(services: Services) -> None:
    """The instance that a box is born with, made once."""
    accounts = services.accounts
    name = await accounts.first_instance()
    if name is None:
        return
    try:
        await accounts.first_instance_made(await _made(services.instances, name))
    except WeirError as error:
        log.error("the first instance '%s' could not be made: %s", name, error)


async def _made(instances: Instances, name: str) -> str:
    """The id of the new instance, or of the one that was made before somebody ended us between making and noting."""
    try:
        return (await instances.create(SYSTEM, CreateInstance(name=name))).id
    except Conflict:
        with contextlib.suppress(NotFound):
            return await instances.find(name, SYSTEM)
        raise


async def _say_ready(home: Home, parts: Parts) -> None:
    await _proxy_settled(parts.proxy)
    parts.readiness.ready = True
    ready.mark(home)
    notify("READY=1", f"STATUS={parts.services.names()[0]}")
    log.info("ready: https://%s", parts.services.names()[0])
    # What was made while starting stays: the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    trim()
    gc.set_threshold(GARBAGE_AFTER, 10, 10)
    gc.enable()


async def _proxy_settled(proxy: Proxy) -> None:
    """Until nginx took its configuration, or refused it, which is a problem that people are told of."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PROXY_S):
            while not (proxy.status().version or proxy.status().message):  # noqa: ASYNC110 - once, while starting
                await asyncio.sleep(0.02)
