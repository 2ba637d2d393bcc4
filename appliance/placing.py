"""Which driver and placer this box has, and what they start: a part of the composition (`appliance.assembly`)."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import msgspec

from appliance.config import Config, Home
from appliance.drivers.base import Driver, DriverError
from appliance.drivers.child import Child
from appliance.drivers.localfs import Placer
from appliance.drivers.program import Command, Program
from appliance.drivers.published import Published
from appliance.drivers.registry import driver_class
from appliance.errors import Invalid
from appliance.model import InstanceSpec
from appliance.services.tokens import Tokens

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
THREADS = 4
PLACERS = ("child", "units")
PORTS = 1000  # instances at most
LOGS = "/run/weir-log"  # in memory, each unit's own: TemporaryFileSystem= of weir-launcher@.service

Specs = Callable[[str], Awaitable[InstanceSpec | None]]


def driver_of(home: Home, config: Config, tokens: Tokens) -> Driver:
    """The driver of the configuration. Raises Invalid for an unknown one, and for an unknown placer."""
    executor = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="driver")
    return driver_class(config.driver)(
        home.instances,
        placer_of(home, config, executor, tokens),
        executor,
        replace_grace=timedelta(seconds=config.limits.stop_grace_s),
    )


def placer_of(home: Home, config: Config, executor: ThreadPoolExecutor, tokens: Tokens | None) -> Placer:
    """What runs launchers here. Without `tokens` nothing can be placed, only ended. Raises Invalid."""
    published = bool(config.launcher.command)

    async def mint(instance_id: str, generation: int) -> str:
        if tokens is None:
            raise Invalid("nothing is placed while the box is being stopped")
        if published:
            return msgspec.json.encode(await tokens.mint_run(instance_id, generation)).decode()
        return await tokens.mint_ticket(instance_id, generation)

    async def mint_for(spec: InstanceSpec) -> str:
        return await mint(spec.id, spec.generation)

    program = launcher_program(home, config)
    if config.placer == "child":
        return Child(home.instances, program, mint_for, executor)
    if config.placer == "units":
        from appliance.drivers.units import Units  # an installed box alone needs it

        return Units(home.launch, home.boot_socket, program, mint, executor, reserved=reserved(config))
    raise Invalid(
        f"unknown placer '{config.placer}'; known placers: {', '.join(PLACERS)}",
        hint=f"Correct `placer` in {home.config_file}.",
    )


def reserved(config: Config) -> list[tuple[int, int]]:
    """Ports that are spoken for: of all instances, and of Weir itself. Who took the broker's while it is down would be
    told the passwords of those who come for it."""
    listen, broker = config.listen, config.broker
    bases = (listen.node_red_base, listen.launcher_base)
    single = (listen.port, *((broker.port, broker.websocket_port) if broker.enabled else ()))
    return [*((base, base + PORTS - 1) for base in bases), *((port, port) for port in single if port)]


class Adjusting:
    """The limits of an instance take effect; connected once there is a driver."""

    def __init__(self) -> None:
        self._connected: tuple[Driver, Specs] | None = None

    def connect(self, driver: Driver, specs: Specs) -> None:
        self._connected = driver, specs

    async def lacks(self) -> str:
        """What this box can't enforce."""
        return await self._connected[0].lacks() if self._connected is not None else ""

    async def __call__(self, instance_id: str) -> str:
        """What this box can't enforce, or why it could not be done now."""
        if self._connected is None:
            return ""
        driver, specs = self._connected
        spec = await specs(instance_id)
        try:
            return await driver.adjust(spec) if spec is not None else ""
        except DriverError as error:
            return f"not yet: {error}; at its next start"


def launcher_program(home: Home, config: Config) -> Program:
    """How launchers are started; ours isolated (-I), so that nothing in an instance's directory can be imported."""
    env = {"PATH": PATH, "LANG": os.environ.get("LANG") or "C.UTF-8", "NODE_EXTRA_CA_CERTS": str(home.tls / "ca.crt")}
    if "TZ" in os.environ:
        env["TZ"] = os.environ["TZ"]
    url = f"http://{config.listen.host}:{config.listen.port}"
    if config.launcher.command:
        return Published(tuple(config.launcher.command), env, url)
    logs = (LOGS if config.launcher.logs == "memory" else "") if config.placer == "units" else None
    return Command((sys.executable, "-I", "-m", "launcher"), env, url, logs)
