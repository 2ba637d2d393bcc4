"""The appliance's web part with its real services on real sockets, for tests; nginx is played by the client."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from msgspec.structs import replace

from appliance.auth.passwords import Passwords
from appliance.config import Config, Listen
from appliance.launcher_client import LauncherClient
from appliance.model import Role, StackRef, Subject
from appliance.placing import Adjusting, reserved
from appliance.reconcile.observed import Observed
from appliance.schema.instances import CreateInstance, Instance
from appliance.schema.members import AddMember
from appliance.schema.users import CreateUser, User
from appliance.services.accepted import Accepted, AcceptedNames
from appliance.services.accounts import Accounts
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
from appliance.services.instances import Instances
from appliance.services.limits import InstanceLimits
from appliance.services.oauth import OAuth
from appliance.services.operations import operations
from appliance.services.quota import DiskQuota
from appliance.services.resources import Latest, Resources
from appliance.services.snapshots import Snapshots
from appliance.services.stacks import Stacks
from appliance.services.storage import Storage
from appliance.services.team_library import TeamLibrary
from appliance.services.teams import Teams
from appliance.services.tokens import Tokens
from appliance.web.app import build
from appliance.web.feed import Feed
from appliance.web.listeners import Listeners
from appliance.web.services import Services
from tests.stores import Clock, fresh_context
from tests.support import free_port

HOST = "box.test:8443"
ORIGIN = f"https://{HOST}"
PASSWORD = "correct horse battery 42"
API = "/api/v1"


class WebBox:
    """One running appliance without reconciler: `api`, `web` and `tcp` are clients of its three doors."""

    def __init__(self, context: Context, services: Services, observed: Observed, pokes: list[str]) -> None:
        self.context = context
        self.services = services
        self.observed = observed
        self.pokes = pokes
        self.root = Subject(kind="system", username="weir", admin=True)
        self._sessions: list[aiohttp.ClientSession] = []
        self._listeners: Listeners | None = None

    async def come_back(self) -> None:
        """Listen, as at the start."""
        self._listeners = Listeners(build(self.services), self.context.config, self.context.home)
        await self._listeners.open()

    async def go_away(self) -> None:
        """Stop listening: connections are refused from now on. May be called twice."""
        if self._listeners is not None:
            await self._listeners.close()
            self._listeners = None

    @property
    def port(self) -> int:
        return self.context.config.listen.port

    def client(self, door: str = "tcp", token: str | None = None, **headers: str) -> aiohttp.ClientSession:
        """A client of `api`, `web` (as nginx would forward for a browser) or `tcp`."""
        home = self.context.home
        if door == "tcp":
            connector: aiohttp.BaseConnector = aiohttp.TCPConnector()
            base = f"http://127.0.0.1:{self.port}"
        else:
            connector = aiohttp.UnixConnector(str(home.api_socket if door == "api" else home.web_socket))
            base = "http://box.test"
        if door == "web":
            forwarded = {"X-Forwarded-Host": HOST, "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7"}
            headers = {**forwarded, **headers}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        session = aiohttp.ClientSession(base, connector=connector, headers=headers, cookie_jar=aiohttp.DummyCookieJar())
        self._sessions.append(session)
        return session

    def browser(self, **headers: str) -> Browser:
        return Browser(self.client("web", None, **headers))

    async def person(self, name: str, role: Role, *, admin: bool = False) -> User:
        """An account with a role in the first team."""
        directory = self.services.directory
        body = CreateUser(name=name, username=name, password=PASSWORD, email=f"{name}@example.com", is_admin=admin)
        user = await directory.users.create(self.root, body)
        if role:
            team = (await self.services.teams.teams(_page())).teams[0]
            await directory.members.add(self.root, team.id, AddMember(user=user.id, role=int(role)))
        return user

    async def token(self, user: User, **narrowed: Any) -> str:
        """A personal access token of a user."""
        subject = Subject(kind="user", user_id=user.id, username=user.username, admin=user.admin)
        return (await self.services.directory.tokens.create(subject, "test", **narrowed)).token

    async def instance(self, name: str, **fields: Any) -> Instance:
        subject = await self.services.accounts.root()
        application = await self.services.teams.default_application(subject)
        return await self.services.instances.create(
            subject, CreateInstance(name=name, application_id=application, **fields)
        )

    async def boot(self, instance: Instance) -> Any:
        """What the launcher of an instance gets for its ticket."""
        ticket = await self.services.tokens.mint_ticket(instance.id, 1)
        return await self.services.tokens.boot(ticket, instance.id, 4711)

    async def close(self) -> None:
        for session in self._sessions:
            await session.close()


class Browser:
    """Cookies and forms as a browser has them, over the `web` door."""

    def __init__(self, client: aiohttp.ClientSession) -> None:
        self.client = client
        self.cookies: dict[str, str] = {}

    async def get(self, path: str, **headers: str) -> Page:
        return await self._ask("GET", path, headers, None)

    async def post(self, path: str, form: dict[str, str], **headers: str) -> Page:
        """Post as our own page would; headers given here win, an empty one is not sent."""
        headers = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin", **headers}
        return await self._ask("POST", path, {k: v for k, v in headers.items() if v}, form)

    async def login(self, username: str = "admin", password: str = PASSWORD) -> Page:
        page = await self.get("/account/login")
        return await self.post("/account/login", {**page.fields, "username": username, "password": password})

    async def _ask(self, method: str, path: str, headers: dict[str, str], form: dict[str, str] | None) -> Page:
        headers = {"Accept": "text/html", **headers}
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        async with self.client.request(method, path, data=form, headers=headers, allow_redirects=False) as answer:
            page = Page(
                answer.status, dict(answer.headers), await answer.text(), answer.headers.getall("Set-Cookie", [])
            )
        for cookie in page.cookies:
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
            if "Max-Age=0" in cookie:
                del self.cookies[name]
        return page


class Page:
    """An answer as a browser sees it."""

    def __init__(self, status: int, headers: dict[str, str], text: str, cookies: list[str]) -> None:
        self.status = status
        self.headers = headers
        self.text = text
        self.cookies = cookies

    @property
    def location(self) -> str:
        return self.headers.get("Location", "")

    @property
    def fields(self) -> dict[str, str]:
        return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', self.text))


async def ask(client: aiohttp.ClientSession, method: str, path: str, **more: Any) -> tuple[int, Any]:
    """The status, and what the answer says: an object where it is JSON, else its text."""
    async with client.request(method, path, **more) as answer:
        text = await answer.text()
        return answer.status, json.loads(text) if text[:1] in "{[" else text


async def raw(box: WebBox, request: bytes) -> bytes:
    """Send bytes as they are to the TCP door and read until it closes or answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", box.port)
    try:
        async with asyncio.timeout(10):
            writer.write(request)
            await writer.drain()
            return await reader.read(65536)
    finally:
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def web_box(
    root: Path,
    config: Config | None = None,
    *,
    names: Sequence[str] = (HOST, "localhost:8443"),
    sandboxed: bool = False,
) -> AsyncIterator[WebBox]:
    """A furnished box that listens; everything is closed afterwards. `sandboxed`: it takes itself for an installed
    one, where shells are concerned."""
    clock = Clock()
    config = config or Config(listen=Listen(https=8443))
    config = replace(config, listen=replace(config.listen, port=free_port(), launcher_base=free_port()))
    async with AsyncExitStack() as stack:
        fresh = await fresh_context(root, clock=clock, config=config)
        stack.push_async_callback(fresh.store.close)
        context = replace(fresh, names=lambda: names)
        context.home.run.mkdir(mode=0o700)
        hasher = Passwords()
        stack.callback(hasher.close)
        pokes: list[str] = []
        observed = Observed(context.bus, clock)
        services = replace(_compose(context, hasher, observed, pokes), sandboxed=sandboxed)
        stack.push_async_callback(services.launchers.close)
        await services.accounts.bootstrap(PASSWORD)
        box = WebBox(context, services, observed, pokes)
        await box.come_back()
        stack.push_async_callback(box.go_away)
        stack.push_async_callback(box.close)
        yield box


def _compose(context: Context, hasher: Passwords, observed: Observed, pokes: list[str]) -> Services:
    audit = Audit(context)
    stack = StackRef(name="test", node="/usr/bin/false", node_red="/nowhere")
    stacks = Stacks(context, find=lambda name: stack)
    tokens = Tokens(context, audit)
    latest, launchers = Latest(context.home.state / "peaks.json"), LauncherClient(tokens.api_secret)
    instances = Instances(
        context,
        audit=audit,
        stacks=stacks,
        live=observed,
        poke=pokes.append,
        probe=lambda port: True,
        resources=latest.of,
    )
    conditions = Conditions(context.clock, context.bus)
    looked_after = operations(
        context,
        audit,
        conditions=conditions,
        instances=instances,
        peak_bytes=latest.peak_bytes,
        up=lambda instance_id: False,
        poke=pokes.append,
    )
    return Services(
        config=context.config,
        home=context.home,
        bus=context.bus,
        clock=context.clock,
        names=context.names,
        secrets=context.box,
        accounts=Accounts(context, audit, hasher),
        tokens=tokens,
        oauth=OAuth(context),
        teams=Teams(context, audit),
        instances=instances,
        storage=Storage(context),
        deploys=Deploys(context, audit=audit, conditions=conditions, restart=instances.restart),
        audit=audit,
        stacks=stacks,
        catalogue=catalogue(
            context, audit, versions={"node-red-5": "5.0.7", "node-red-4": "4.1.15"}, unbuild=lambda name: None
        ),
        box=Box(
            context,
            instances=instances,
            health=health(context, conditions=conditions, instances=instances, stacks=stacks),
            conditions=conditions,
            ready=lambda: True,
            operations=looked_after,
        ),
        broker=BrokerDesk(context, None),
        accepted=Accepted(context, audit, AcceptedNames(context.config, host=lambda: "box.test", addresses=list)),
        launchers=launchers,
        feed=Feed(context.bus),
        directory=directory(context, audit, hasher),
        resources=Resources(latest, instances=instances, launchers=launchers, conditions=conditions, bus=context.bus),
        snapshots=Snapshots(context, audit),
        endpoints=Endpoints(context, audit),
        library=TeamLibrary(context, audit),
        limits=InstanceLimits(
            context, audit, adjust=Adjusting(), used_mb=lambda instance_id: None, reserved=reserved(context.config)
        ),
        quota=DiskQuota(
            context.home.root,
            context.home.root / "reserve",
            instances=instances,
            measure=launchers.disk,
            conditions=conditions,
        ),
        operations=looked_after,
        backups=backups_of(
            context,
            audit,
            conditions=conditions,
            instances=instances,
            up=lambda instance_id: False,
            secret=lambda instance_id, generation: "",
        ),
    )


def _page() -> Any:
    from appliance.schema.common import Page as PageQuery

    return PageQuery()
