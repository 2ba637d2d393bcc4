"""A real nginx under a real `Proxy`, in front of small upstreams, on free ports."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import ssl
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from appliance.config import Config, Home, Ingress, Listen
from appliance.proxy.controller import Proxy
from appliance.proxy.model import Site
from appliance.system import tls
from appliance.system.access import Former
from tests.support import eventually


def quiet_port() -> int:
    """A free port outside of the range from which the kernel gives other programs theirs."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("0.0.0.0", port))
            return port


class Conditions:
    """Remembers what was raised and not cleared."""

    def __init__(self) -> None:
        self.open: dict[str, dict[str, Any]] = {}
        self.log: list[str] = []

    def raise_(self, key: str, **what: Any) -> None:
        self.open[key] = what
        self.log.append(key)

    def clear(self, key: str) -> None:
        self.open.pop(key, None)


class Upstream:
    """Answers what it was asked: headers as JSON; /ws echoes; /eat counts a body; /set sets what it was told to."""

    def __init__(self) -> None:
        self.port = 0
        self.requests: list[Any] = []
        self.eating = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def start(self, *, path: Path | None = None) -> None:
        app = web.Application(client_max_size=300 * 2**20)
        app.router.add_route("*", "/{rest:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        if path is not None:
            await web.UnixSite(self._runner, str(path)).start()
        else:
            site = web.TCPSite(self._runner, "127.0.0.1", 0)
            await site.start()
            self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        if request.path.endswith("/ws"):
            return await self._echo(request)
        if request.path == "/eat":
            size = 0
            async for chunk in request.content.iter_chunked(65536):
                size += len(chunk)
                self.eating.set()
            return web.json_response({"size": size})
        headers = {name[4:]: value for name, value in request.query.items() if name.startswith("set-")}
        return web.json_response({"headers": list(request.headers.items()), "path": request.path_qs}, headers=headers)

    async def _echo(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(message.data)
        return socket


class ProxyBox:
    """A home, its platform and instances, and the proxy under test."""

    def __init__(self, root: Path, **ingress: Any) -> None:
        self.home = Home(root)
        self.conditions = Conditions()
        self.former = Former()
        self.sites: list[Site] = []
        self.ups: dict[str, Upstream] = {}
        self.platform = Upstream()
        self.config = Config(
            listen=Listen(https=quiet_port(), http=quiet_port()),
            ingress=Ingress(names=ingress.pop("names", ["plant.example:8444"]), **ingress),
        )
        self.proxy = self.make()
        self._task: asyncio.Task[None] | None = None

    def make(self) -> Proxy:
        async def sites() -> list[Site]:
            return self.sites

        return Proxy(
            self.home,
            self.config,
            sites=sites,
            raise_condition=self.conditions.raise_,
            clear_condition=self.conditions.clear,
            names=lambda: tls.accepted_names(self.config, "weir-test", addresses=[]),
            former=lambda: self.former,
        )

    async def add(self, name: str = "line-1") -> Site:
        """An instance that is up."""
        up = Upstream()
        await up.start()
        site = Site(str(uuid.uuid4()), name, quiet_port(), up.port, name.lower())
        self.ups[site.instance_id] = up
        self.sites = [*self.sites, site]
        (self.home.run / "up").mkdir(parents=True, exist_ok=True)
        self.flag(site).touch()
        return site

    def flag(self, site: Site) -> Path:
        return self.home.run / "up" / site.instance_id

    async def run(self) -> None:
        await self.run_until(len(self.sites))

    async def run_until(self, sites: int) -> None:
        """Start; returns when so many of the sites are served."""
        self.home.run.mkdir(parents=True, exist_ok=True)
        if self.platform._runner is None:
            await self.platform.start(path=self.home.web_socket)
        self._task = asyncio.create_task(self.proxy.run())
        await self.settled(sites)

    async def settled(self, sites: int | None = None) -> None:
        """The proxy is up with all sites that it knows now, or with so many of them."""
        wanted = len(self.sites) if sites is None else sites

        def done() -> bool:
            assert self._task is not None
            assert not self._task.done(), self._task
            status = self.proxy.status()
            assert status.running, (status, self.conditions.open)
            assert status.sites == wanted, (status, self.conditions.open)
            return True

        await eventually(done, 20)

    async def halt(self) -> None:
        """As when the appliance is killed: nginx stays."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def close(self) -> None:
        await self.halt()
        await self.make().stop()
        for up in (self.platform, *self.ups.values()):
            await up.close()

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.home.tls / "ca.crt"))

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[aiohttp.ClientSession]:
        connector = aiohttp.TCPConnector(ssl=self.trust(), force_close=True)
        async with aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout(total=20)
        ) as session:
            yield session

    @property
    def url(self) -> str:
        return f"https://localhost:{self.config.listen.https}"

    @property
    def http(self) -> str:
        return f"http://localhost:{self.config.listen.http}"

    def site_url(self, site: Site) -> str:
        return f"https://localhost:{site.public_port}"


async def raw(port: int, request: bytes, *, context: ssl.SSLContext | None = None, name: str = "localhost") -> bytes:
    """Send exactly these bytes over TLS (or plain when `context` is None) and read to the end."""
    extra = {"ssl": context, "server_hostname": name} if context is not None else {}
    reader, writer = await asyncio.open_connection("127.0.0.1", port, **extra)
    try:
        writer.write(request)
        return await asyncio.wait_for(reader.read(1_000_000), 10)
    finally:
        writer.close()
        with contextlib.suppress(OSError, ssl.SSLError):
            await writer.wait_closed()
