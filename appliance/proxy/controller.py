"""Keeps nginx as it is wanted: model → text → nginx tests it → rename → reload → verify; last good kept."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pwd
import resource
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol

from appliance.config import Config, Home, Listen
from appliance.errors import Invalid, WeirError
from appliance.proxy import messages, pages
from appliance.proxy.model import Box, ProxyStatus, Site
from appliance.proxy.process import Nginx
from appliance.proxy.program import ConfigRefused, NginxMissing, PortTaken
from appliance.proxy.render import render
from appliance.proxy.unit import NginxUnit
from appliance.system import certificates, tls, vitals
from appliance.system.access import PORT, Former, access_of
from appliance.system.files import write_atomic
from appliance.system.rounds import Rounds
from appliance.system.templates import Rendered
from appliance.system.tls import AcceptedName

log = logging.getLogger(__name__)

RELOAD_EVERY_S = 1.0

CONFIG = "proxy.config"
TAKEN = "proxy.port."  # + number
NAME = "proxy.name."  # + id of an instance
TLS = "proxy.tls"
MESSAGES = "broker_tls"


class RaiseCondition(Protocol):
    """Tell people of a problem; raising it again updates it."""

    def __call__(
        self, key: str, *, title: str, cause: str, evidence: str = "", next_step: str = "", about: str | None = None
    ) -> None: ...


class Proxy:
    """The reconciler of nginx. `run()` is its only writer; `poke()` may be called from anywhere on the loop.

    `sites` gives all instances that have a public port, `names` the accepted names (read again at every round, so
    that a new address of the box is taken up). nginx is left running when `run()` is cancelled.
    """

    def __init__(
        self,
        home: Home,
        config: Config,
        *,
        sites: Callable[[], Awaitable[Sequence[Site]]],
        raise_condition: RaiseCondition,
        clear_condition: Callable[[str], None],
        names: Callable[[], list[AcceptedName]] | None = None,
        former: Callable[[], Former] = Former,
    ) -> None:
        self._home = home
        self._config = config
        self._access = access_of(config)
        self._former = former
        self._sites = sites
        self._names = names or (lambda: tls.accepted_names(config, socket.gethostname()))
        self._raise = raise_condition
        self._clear = clear_condition
        self._nginx = NginxUnit(home) if home.installed else Nginx(home, config.ingress.nginx)
        self._stream = messages.StreamModule(config.ingress.nginx)
        # Something may be wrong (a port of an instance is taken) while nginx serves all the rest.
        self._rounds = Rounds(
            self._nginx,
            every_s=RELOAD_EVERY_S,
            stuck=self._nginx.answering.stuck,
            serves=lambda: bool(self._version) or self._nginx.pid is not None,
        )
        self._taken: dict[int, str] = {}  # ports that somebody else has -> why
        self._conditions: set[str] = set()
        self._version = ""
        self._count = 0
        self._message = ""

    def poke(self) -> None:
        """Something may have changed: look soon. Never blocks; many pokes are one."""
        self._rounds.poke()

    def status(self) -> ProxyStatus:
        """What is in use now. `running` means that it has answered."""
        pid = self._nginx.pid
        return ProxyStatus(pid is not None and self._version != "", pid, self._version, self._count, self._message)

    async def run(self) -> None:
        """For ever: apply what is wanted, then wait for a poke, the end of nginx, or the resync."""
        try:
            self._nginx.prepare()
            if await asyncio.to_thread(self._nginx.adopt):
                self._version = await self._nginx.answering.version()
                log.info("adopted nginx, pid %s", self._nginx.pid)
            await self._rounds.run(self._round)
        finally:
            self._nginx.forget()

    async def stop(self) -> None:
        """End nginx (`weir down`); not while `run()` runs."""
        await asyncio.to_thread(self._nginx.adopt)
        await self._nginx.stop()

    async def apply(self) -> bool:
        """One round; True when nginx runs with what is wanted. Failures become conditions, never exceptions of ours."""
        try:
            names = await asyncio.to_thread(self._names)
            covered = self._access.certified(names, self._former().domain)
            files = await asyncio.to_thread(certificates.ensure, self._home, self._config, covered)
            self._resolve(TLS)
        except (OSError, WeirError) as error:
            if self._nginx.pid is None:
                await self._fall_back()  # the certificate there is serves better than nothing
            self._problem(TLS, "The certificate of this box cannot be renewed", error)
            return False
        try:
            return await self._bring_up(names, files, self._nameable(names, await self._sites()))
        except (OSError, WeirError) as error:
            if self._nginx.pid is None and not isinstance(error, PortTaken | NginxMissing):
                await self._fall_back()
            self._problem(CONFIG, "The web server of this box does not take its configuration", error)
            return False

    # -- one round ------------------------------------------------------------------------------------

    async def _round(self) -> bool:
        if self._version and self._nginx.pid is None:
            log.warning("nginx has ended; starting it again")
        return await self.apply()

    async def _bring_up(self, names: list[AcceptedName], files: tls.TlsFiles, sites: list[Site]) -> bool:
        """Apply; a port that another program has is left out, the rest is served."""
        for port in list(self._taken):
            if await asyncio.to_thread(_free, port):
                del self._taken[port]
        while True:
            rendered, served = await asyncio.to_thread(self._render, names, files, sites)
            try:
                await self._use(rendered)
            except PortTaken as error:
                if error.port in self._taken or error.port == self._config.listen.https:
                    raise
                self._taken[error.port] = str(error)
                if self._needed(error.port):
                    self._port_problem(error, sites, await asyncio.to_thread(vitals.listeners, [error.port]))
                continue
            except ConfigRefused as error:
                if self._stream.refused or messages.MODULE.name not in str(error):
                    raise
                self._stream.refused = str(error)  # one that does not fit this nginx: the rest is served
                continue
            self._tell_of_messages()
            self._version, self._count, self._message = rendered.version, served, ""
            self._resolve(CONFIG)
            self._resolve_ports()
            return not any(map(self._needed, self._taken))

    def _needed(self, port: int) -> bool:
        """Whether something can't be reached without it; on old ports people are only told where instances are now."""
        return self._access.mode == PORT or port in (self._config.listen.http, self._config.broker.tls_port)

    def _nameable(self, names: list[AcceptedName], sites: Sequence[Site]) -> list[Site]:
        """The instances whose host names are not the platform's own; the others are told of."""
        platform = {name.name for name in names}
        clashing = {site.instance_id: site for site in sites if self._access.own_host(site.safe_name) in platform}
        for key in [k for k in self._conditions if k.startswith(NAME) and k[len(NAME) :] not in clashing]:
            self._resolve(key)
        for key, site in clashing.items():
            self._name_problem(f"{NAME}{key}", site)
        return [site for site in sites if site.instance_id not in clashing]

    def _render(self, names: list[AcceptedName], files: tls.TlsFiles, sites: list[Site]) -> tuple[Rendered, int]:
        pages.write_pages(self._home, tls.fingerprint(files.ca), files.names)
        free = [site for site in sites if site.public_port not in self._taken]
        served = free if self._access.mode == PORT else sites
        old_ports = former_ports(free, self._config.listen) if self._former().ports else []
        return render(self._box(names, files.cert, old_ports), served), len(served)

    def _box(self, names: list[AcceptedName], cert: Path, old_ports: list[int]) -> Box:
        listen = self._config.listen
        return Box(
            home=str(self._home.root),
            https_port=listen.https,
            http_port=None if listen.http in self._taken else listen.http,
            names=tuple(names),
            certificate=tls.fingerprint(cert).replace(":", "")[:32],
            access=self._access,
            former=self._former(),
            old_ports=tuple(old_ports),
            # A placer that runs everything as root has files that only root reads, nginx's socket among them.
            user=pwd.getpwuid(0).pw_name if os.geteuid() == 0 else "",
            ipv6=has_ipv6(),
            workers=min(2, os.cpu_count() or 1),
            connections=_connections(),
            messages=messages.door(self._config, self._stream.find(), set(self._taken)),
        )

    async def _use(self, rendered: Rendered) -> None:
        """Make nginx use this configuration; what was in use stays so when it is refused."""
        if self._rounds.misses:
            await self._rounds.probe()  # no use in telling it of a new configuration
        running = self._nginx.pid is not None
        if not running:
            self._version, self._count = "", 0
        if running and await self._nginx.answering.version() == rendered.version:
            await asyncio.to_thread(self._nginx.rotate_log)
            return
        candidate = self._nginx.config.with_name("candidate.conf")
        await asyncio.to_thread(write_atomic, candidate, rendered.text, 0o644)
        await self._nginx.test(candidate)
        await asyncio.to_thread(candidate.replace, self._nginx.config)
        try:
            await (self._nginx.reload(rendered.version) if running else self._nginx.start())
        except WeirError:
            await asyncio.to_thread(self._put_back)
            raise
        await asyncio.to_thread(write_atomic, self._last_good, rendered.text, 0o644)
        log.info("nginx, pid %s, uses configuration %s", self._nginx.pid, rendered.version)

    async def _fall_back(self) -> None:
        """nginx does not run and what is wanted can't be had: serve what worked last."""
        self._version = ""
        with contextlib.suppress(OSError):
            await asyncio.to_thread(self._put_back)
        with contextlib.suppress(OSError, WeirError):
            if self._nginx.config.exists():
                await self._nginx.start()
                self._version = await self._nginx.answering.version()

    @property
    def _last_good(self) -> Path:
        return self._nginx.config.with_name("last-good.conf")

    def _put_back(self) -> None:
        """The file must say what is in use: a restart of nginx by anybody must not meet the refused one."""
        with contextlib.suppress(FileNotFoundError):
            write_atomic(self._nginx.config, self._last_good.read_bytes(), 0o644)

    # -- telling ----------------------------------------------------------------------------------------

    def _problem(self, key: str, title: str, error: OSError | WeirError) -> None:
        hint = error.hint if isinstance(error, WeirError) else "Mend that; it is tried again by itself."
        if self._message != str(error):
            log.error("%s: %s", title, error)
        self._message = str(error)
        self._conditions.add(key)
        kept = f"Configuration {self._version} stays in use." if self._nginx.pid is not None else "nginx does not run."
        self._raise(key, title=title, cause=str(error), evidence=kept, next_step=hint)

    def _port_problem(self, error: PortTaken, sites: list[Site], listeners: Sequence[vitals.Listener]) -> None:
        site = next((site for site in sites if site.public_port == error.port), None)
        what = f"Instance {site.name} is not reachable from outside" if site else "The page with the CA is not served"
        if error.port == self._config.broker.tls_port:
            what = "The message broker is not reachable from outside by TLS"
        log.error("%s: %s", what, error)
        key = f"{TAKEN}{error.port}"
        self._conditions.add(key)
        about = site.instance_id if site else None
        seen = ", ".join(f"{each} listens there" for each in listeners) or "nobody is seen to listen there"
        self._raise(key, title=what, cause=str(error), evidence=seen, next_step=error.hint, about=about)

    def _tell_of_messages(self) -> None:
        broker = self._config.broker
        if not broker.enabled or not broker.tls_port or self._stream.find() is not None:
            self._resolve(MESSAGES)
            return
        self._conditions.add(MESSAGES)
        self._raise(
            MESSAGES,
            title="The message broker is not reachable from outside by TLS",
            cause=self._stream.refused or "This nginx can pass on HTTP only: its module 'stream' is not installed.",
            evidence=f"Nothing listens on port {broker.tls_port}. Websockets reach the broker at the box's address.",
            next_step=messages.INSTALL,
        )

    def _name_problem(self, key: str, site: Site) -> None:
        self._conditions.add(key)
        self._raise(
            key,
            title=f"Instance {site.name} is not reachable: its name is the platform's",
            cause=f"{self._access.own_host(site.safe_name)} is a name of this box, so browsers reach Weir there.",
            evidence="weir name list shows the names of this box",
            next_step=f"Rename it: weir instance set {site.safe_name} name=OTHER. Or take that name from the box.",
            about=site.instance_id,
        )

    def _resolve(self, key: str) -> None:
        if key in self._conditions:
            self._conditions.discard(key)
            self._clear(key)

    def _resolve_ports(self) -> None:
        for key in [k for k in self._conditions if k.startswith(TAKEN) and int(k[len(TAKEN) :]) not in self._taken]:
            self._resolve(key)


def former_ports(sites: Sequence[Site], listen: Listen) -> list[int]:
    """Where people are told of an instance that had a port of its own: not where the platform itself is by now."""
    return [site.public_port for site in sites if site.public_port not in (listen.https, listen.http)]


def has_ipv6() -> bool:
    """Whether this kernel can listen on IPv6."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def _free(port: int) -> bool:
    """Whether a listener could be opened on all addresses, as nginx would (it sets SO_REUSEADDR too)."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))  # noqa: S104 - probed and closed
            probe.listen(1)
        except PermissionError:  # nginx may and we may not: whether somebody listens there is all that can be seen
            return not vitals.listeners([port])
        except OSError:
            return False
    return True


def _connections() -> int:
    """Per worker: 1024, fewer where the system allows fewer open files."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    allowed = 4096 if hard == resource.RLIM_INFINITY else hard
    return max(128, min(1024, (allowed - 64) // 2))


def check_names(config: Config) -> None:
    """Raise Invalid for a name in the configuration that no browser could use, and for an access mode that can't be."""
    access_of(config)
    for text in config.ingress.names:
        try:
            tls.parse_name(text)
        except Invalid as error:
            raise Invalid(f"config.toml, ingress.names: {error}", code=error.code, hint=error.hint) from error
