"""Keeps Mosquitto as it is wanted: a broker on trial takes the configuration, then the real one is started with it and
verified, and the last good one is kept. Who may log in changes while it runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Protocol

from appliance.broker import acl, document, program
from appliance.broker.control import Control, Refused, Silent
from appliance.broker.document import Wanted
from appliance.broker.model import BrokerStatus, Client, Running, Settings
from appliance.broker.process import Mosquitto
from appliance.broker.program import BrokerMissing, ConfigRefused, Exposed, PortTaken
from appliance.broker.render import on_trial, render
from appliance.broker.unit import MosquittoUnit
from appliance.config import Config, Home
from appliance.errors import Unavailable, WeirError
from appliance.system import sockets, vitals
from appliance.system.rounds import Rounds, retry_s
from appliance.system.templates import Rendered

log = logging.getLogger(__name__)

ROUND_EVERY_S = 0.2
START_S = 15.0
SHORT_S = 30.0  # one that ends sooner after its start is not started again at once for the second time
# The broker writes its whole file for each change: with more of them it is quicker started anew, within 0.2 s.
LIVE_CHANGES = 60

DOWN = "broker_down"
MISSING = "broker_missing"
TAKEN = "broker_port_taken"
EXPOSED = "broker_exposed"


class RaiseCondition(Protocol):
    """Tell people of a problem; raising it again updates it."""

    def __call__(self, key: str, *, title: str, cause: str, evidence: str = "", next_step: str = "") -> None: ...


class Broker:
    """The reconciler of Mosquitto. `run()` is its only writer; `poke()` may be called from anywhere on the loop.

    `clients` gives all who may log in; `password` is the appliance's own at the broker's control socket, the same after
    a restart of the appliance. Mosquitto is left running when `run()` is cancelled.
    """

    def __init__(
        self,
        home: Home,
        config: Config,
        *,
        password: str,
        clients: Callable[[], Awaitable[Iterable[Client]]],
        raise_condition: RaiseCondition,
        clear_condition: Callable[[str], None],
    ) -> None:
        self._home = home
        self._config = config.broker
        self._password = password
        self._clients = clients
        self._raise = raise_condition
        self._clear = clear_condition
        self._mosquitto = MosquittoUnit(home) if home.installed else Mosquitto(home, config.broker.mosquitto)
        self._control = Control(home.mosquitto_run / "control.sock", password)
        self._rounds = Rounds(
            self._mosquitto,
            every_s=ROUND_EVERY_S,
            stuck=self._stuck,
            serves=lambda: self._mosquitto.pid is not None,
        )
        self._conditions: set[str] = set()
        self._tried = ""  # the configuration that a broker on trial took last
        self._running: Running | None = None
        self._began_s = -SHORT_S  # by the loop's clock, when the one that runs was started
        self._short = 0  # in a row that ended soon after their start
        self._count = 0
        self._message = ""

    def poke(self) -> None:
        """Something may have changed: look soon. Never blocks; many pokes are one."""
        self._rounds.poke()

    async def status(self) -> BrokerStatus:
        """What is in use now. `running` means that it has answered; asks it how many are connected."""
        connected = None
        if self._running is not None:
            with contextlib.suppress(Silent, Refused):
                connected = await self._control.connected()
        return BrokerStatus(
            running=self.up,
            pid=self._mosquitto.pid,
            config=self._running.config if self._running else "",
            clients=self._count,
            connected=connected,
            message=self._message,
        )

    @property
    def up(self) -> bool:
        """Whether it runs and has answered."""
        return self._running is not None and self._mosquitto.pid is not None

    @property
    def settled(self) -> bool:
        """Whether the first round is over, well or not."""
        return self._running is not None or bool(self._message)

    async def run(self) -> None:
        """For ever: apply what is wanted, then wait for a poke, the end of the broker, or the resync."""
        try:
            if await asyncio.to_thread(self._mosquitto.adopt):
                log.info("adopted the message broker, pid %s", self._mosquitto.pid)
            await self._rounds.run(self._round)
        finally:
            self._mosquitto.forget()

    async def stop(self) -> None:
        """End the broker (`weir down`); not while `run()` runs."""
        await asyncio.to_thread(self._mosquitto.adopt)
        await self._mosquitto.stop()

    async def apply(self) -> bool:
        """One round; True when the broker is as wanted. Failures become conditions, never exceptions of ours."""
        try:
            await asyncio.to_thread(self._mosquitto.prepare)
            rendered = render(self._settings())
            all_ = document.wanted([self._own(), *await self._clients()])
            await self._bring_up(rendered, all_)
        except (OSError, WeirError) as error:
            self._problem(error)
            return False
        self._count, self._message = len(all_.clients) - 1, ""
        for key in list(self._conditions):
            self._resolve(key)
        return True

    # -- one round ------------------------------------------------------------------------------------

    async def _round(self) -> bool:
        if self._running is not None and self._mosquitto.pid is None:
            log.warning("the message broker has ended; starting it again")
            await asyncio.sleep(self._ended())
        return await self.apply()

    def _ended(self) -> float:
        """The pause before it is started again: none at first, growing for one that ends again and again, as each start
        writes to the disk."""
        lived_s = asyncio.get_running_loop().time() - self._began_s
        self._short = self._short + 1 if lived_s < SHORT_S else 0
        if self._short < 2:
            return 0.0
        self._problem(Unavailable(f"it ended {self._short} times, each soon after its start", hint=_SEE))
        return retry_s(self._short)

    async def _stuck(self) -> str:
        """Why one that lives has to be ended if it stays so; empty when it answers or does not run."""
        if self._mosquitto.pid is not None:
            try:
                await self._control.running()
            except Refused:
                self.poke()
            except Silent as error:
                return str(error)
        return ""

    def _settings(self) -> Settings:
        program.find(self._config.mosquitto)
        return Settings(
            plugin=program.plugin(),
            security=str(self._home.mosquitto_run / self._mosquitto.security.name),
            control=str(self._home.mosquitto_run / "control.sock"),
            port=self._config.port,
            websocket_port=self._config.websocket_port,
            user=self._mosquitto.user,
        )

    def _own(self) -> Client:
        return Client(acl.CONTROL_USER, self._password, "", acl.of_control())

    async def _bring_up(self, rendered: Rendered, all_: Wanted) -> None:
        wanted = Running(rendered.version, all_.version)
        running = await self._seen()
        if running == wanted:
            self._running = running
            return
        if running is not None and running.config == rendered.version:
            # First the file: whoever starts the broker from here on, it is with this one.
            await self._keep(self._mosquitto.security, document.file(all_, rendered.version))
            if await self._changed(all_):
                self._running = await self._control.running()
                return
        await self._replace(rendered, all_)

    async def _seen(self) -> Running | None:
        """What runs; None when nothing does, or it does not know the appliance. Raises Silent while it lives and does
        not answer: that is for the probes to judge."""
        if self._mosquitto.pid is None and not await asyncio.to_thread(self._mosquitto.adopt):
            self._running = None
            return None
        try:
            return await self._control.running()
        except Refused as error:
            log.warning("the message broker is started anew: %s", error)
            return None

    async def _changed(self, all_: Wanted) -> bool:
        """Change who may log in under a running broker; False where it has to be started anew for that."""
        commands = document.changes(all_, await self._control.held())
        if len(commands) > LIVE_CHANGES:
            return False
        try:
            await self._control.change(commands)
        except Refused as error:
            log.warning("the message broker is started anew: %s", error)
            return False
        return True

    async def _replace(self, rendered: Rendered, all_: Wanted) -> None:
        """Start it with this configuration in place of the one that runs. When it refuses, what worked last goes on."""
        if rendered.version != self._tried:
            await self._try(rendered, all_)
        await self._keep(self._mosquitto.security, document.file(all_, rendered.version))
        await self._keep(self._mosquitto.config, rendered.text)
        try:
            await self._start(Running(rendered.version, all_.version))
        except (OSError, WeirError):
            if not await self._fall_back(rendered, all_):
                await self._mosquitto.stop()
            raise
        await self._keep(self._last_good, rendered.text)
        log.info("the message broker, pid %s, uses configuration %s", self._mosquitto.pid, rendered.version)

    async def _try(self, rendered: Rendered, all_: Wanted) -> None:
        directory = self._home.run / "mqtt-trial"
        control = directory / "control.sock"
        text = on_trial(self._settings(), directory / "security.json", control)
        command = [program.find(self._config.mosquitto)]
        security = document.file(all_, rendered.version)
        await program.trial(command, directory, text, security, Control(control, self._password))
        self._tried = rendered.version

    async def _start(self, wanted: Running) -> None:
        """Raises PortTaken, ConfigRefused, Exposed, Unavailable, BrokerMissing, OSError."""
        await self._mosquitto.stop()
        self._running = None
        for port in self._ports():
            if not await asyncio.to_thread(sockets.port_free, port):
                raise PortTaken(port)
        await self._mosquitto.start()
        await self._until_answered(wanted)
        for port in self._ports():
            if not await asyncio.to_thread(_on_loopback, port):
                await self._mosquitto.stop()
                raise Exposed(
                    f"the broker listened on port {port} for the whole network, or somebody else does",
                    hint=f"See who: ss -ltnp 'sport = :{port}'. Report this when it was Mosquitto.",
                )
        self._running = wanted
        self._began_s = asyncio.get_running_loop().time()

    async def _until_answered(self, wanted: Running) -> None:
        try:
            async with asyncio.timeout(START_S):
                while True:
                    with contextlib.suppress(Silent):
                        if await self._control.running() == wanted:
                            return
                        raise ConfigRefused(
                            "the message broker was started with other files than those of the appliance"
                        )
                    if self._mosquitto.pid is None:
                        raise ConfigRefused(self._mosquitto.why() or "Mosquitto ended at once", hint=_SEE)
                    await asyncio.sleep(program.PAUSE_S)
        except TimeoutError as error:
            raise ConfigRefused(f"Mosquitto did not answer within {START_S:.0f} s", hint=_SEE) from error

    async def _fall_back(self, rendered: Rendered, all_: Wanted) -> bool:
        """The last good configuration, where it is another one than the one that was just refused."""
        try:
            text = await asyncio.to_thread(self._last_good.read_text)
        except OSError:
            return False
        version = _version_of(text)
        if version == rendered.version:
            return False
        with contextlib.suppress(OSError, WeirError):
            await self._keep(self._mosquitto.config, text)
            await self._keep(self._mosquitto.security, document.file(all_, version))
            await self._mosquitto.stop()
            await self._mosquitto.start()
            await self._until_answered(Running(version, all_.version))
            self._running = Running(version, all_.version)
            return True
        return False

    async def _keep(self, path: Path, content: bytes | str) -> None:
        await asyncio.to_thread(self._mosquitto.keep, path, content)

    @property
    def _last_good(self) -> Path:
        return self._mosquitto.config.with_name("last-good.conf")

    def _ports(self) -> list[int]:
        return [port for port in (self._config.port, self._config.websocket_port) if port]

    # -- telling ----------------------------------------------------------------------------------------

    def _problem(self, error: OSError | WeirError) -> None:
        key = next((key for kind, key in _KEYS if isinstance(error, kind)), DOWN)
        if self._message != str(error):
            log.error("the message broker: %s", error)
        self._message = str(error)
        for other in self._conditions - {key}:
            self._resolve(other)
        self._conditions.add(key)
        serves = self._mosquitto.pid is not None
        hint = error.hint if isinstance(error, WeirError) else "Mend that; it is tried again by itself."
        self._raise(
            key,
            title="The message broker does not take its configuration" if serves else "The message broker does not run",
            cause=str(error),
            evidence=self._evidence(error, serves=serves),
            next_step=hint,
        )

    def _evidence(self, error: OSError | WeirError, *, serves: bool) -> str:
        if isinstance(error, PortTaken):
            seen = ", ".join(f"{each} listens there" for each in vitals.listeners([error.port]))
            return seen or "nobody is seen to listen there"
        return (
            f"Mosquitto goes on as it was, pid {self._mosquitto.pid}." if serves else "Flows run on without messages."
        )

    def _resolve(self, key: str) -> None:
        if key in self._conditions:
            self._conditions.discard(key)
            self._clear(key)


_SEE = "See the broker's log: logs/mosquitto.log of the box, or journalctl -u weir-mosquitto."
_KEYS: tuple[tuple[type[Unavailable], str], ...] = ((BrokerMissing, MISSING), (PortTaken, TAKEN), (Exposed, EXPOSED))


def _on_loopback(port: int) -> bool:
    """Whether one socket listens there, and on loopback alone. Blocks."""
    inode = sockets.listener_inode(port)
    return inode is not None and sockets.any_listener_inode(port) == inode


def _version_of(text: str) -> str:
    """Of a configuration that was written once: it says so in its first line."""
    return text.partition("(")[2].partition(")")[0]
