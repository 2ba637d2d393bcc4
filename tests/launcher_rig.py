"""A launcher in a process of its own with a fake appliance that behaves: tickets, settings, storage, reports."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from appliance.model import StackRef
from launcher import proc
from tests.support import eventually, free_port

SECRETS = {
    "token": "fft_launchers-own",
    "nodeRedToken": "fft_for-the-plugins",
    "clientID": "ffp_client-id",
    "clientSecret": "client-secret-of-the-editor",
    "credentialSecret": "c5" * 32,
    "apiSecret": "api-secret-of-the-launcher",
}


class FakeAppliance:
    """Plays the appliance on a port that stays the same when it goes away and comes back."""

    def __init__(self, instance: str) -> None:
        self.instance = instance
        self.port = free_port()
        self.settings: dict[str, Any] = {
            "projectID": instance,
            "env": {"FF_INSTANCE_ID": instance},
            "baseURL": "https://localhost:10001",
            "forgeURL": "https://localhost:8443",
            "teamID": "team123456",
            "state": "running",
            "settings": {"palette": {}},
            "features": {},
            "weir": {"name": "line", "publicPort": 10001, "platformPort": 8443, "desired": "running"},
        }
        self.flows: list[dict[str, Any]] = []
        self.stored: dict[str, Any] = {}
        self.tickets = {"ticket-1"}
        self.spent: dict[str, str] = {}  # by whom, as he proves it
        self.secrets = dict(SECRETS)
        self.storage_tokens: list[str] = []
        self.audit_requests: list[tuple[str, str]] = []  # token and request id
        self.states: list[dict[str, Any]] = []
        self.audits: list[dict[str, Any]] = []
        self.resources: list[dict[str, Any]] = []
        self.refuse_reports = False
        self.lose_boot_answer = False
        self.keeps_settings = False
        self.unwell = 0  # so many reports and audit events are answered with 503
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def open(self) -> None:
        app = web.Application()
        app.router.add_post("/api/v1/launchers/boot", self._boot)
        app.router.add_get("/api/v1/projects/{id}/settings", self._settings)
        app.router.add_post("/api/v1/projects/{id}/update-state", self._update)
        app.router.add_post("/api/v1/projects/{id}/resources", self._resources)
        app.router.add_post("/logging/{id}/audit", self._audit)
        app.router.add_route("*", "/storage/{id}/{kind}", self._storage)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def seen(self, event: str) -> list[dict[str, Any]]:
        return [audit for audit in self.audits if audit["event"] == event]

    def words(self) -> list[str]:
        return [report["state"] for report in self.states]

    async def _boot(self, request: web.Request) -> web.Response:
        body = await request.json()
        ticket, proof = body["ticket"], body["proof"]
        if ticket not in self.tickets:
            if ticket == "spent" or self.spent.get(ticket, proof) != proof:
                return web.json_response({"code": "ticket_spent", "error": "spent"}, status=409)
            if ticket not in self.spent:
                return web.json_response({"code": "unauthorized", "error": "unauthorized"}, status=401)
        self.tickets.discard(ticket)
        self.spent[ticket] = proof
        if self.lose_boot_answer:
            self.lose_boot_answer = False
            assert request.transport is not None
            request.transport.abort()
        return web.json_response({**self.secrets, "teamID": "team123456"})

    async def _settings(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == f"Bearer {self.secrets['token']}"
        if self.keeps_settings:
            return web.json_response({"code": "unavailable", "error": "away"}, status=503)
        return web.json_response(self.settings)

    async def _update(self, request: web.Request) -> web.Response:
        if self._is_unwell():
            return web.json_response({"code": "unavailable", "error": "unwell"}, status=503)
        if self.refuse_reports:
            return web.json_response({"code": "unauthorized", "error": "unauthorized"}, status=401)
        self.states.append(await request.json())
        return web.json_response({}, status=202)

    async def _resources(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == f"Bearer {self.secrets['token']}"
        self.resources.append(await request.json())
        return web.json_response({})

    async def _audit(self, request: web.Request) -> web.Response:
        if self._is_unwell():
            return web.json_response({"code": "unavailable", "error": "unwell"}, status=503)
        self.audits.append(await request.json())
        self.audit_requests.append((_bearer(request), request.headers["X-Weir-Request"]))
        return web.Response()

    def _is_unwell(self) -> bool:
        self.unwell -= 1
        return self.unwell >= 0

    async def _storage(self, request: web.Request) -> web.Response:
        kind = request.match_info["kind"]
        self.storage_tokens.append(_bearer(request))
        if _bearer(request) != self.secrets["nodeRedToken"]:
            return web.json_response({"code": "unauthorized", "error": "unauthorized"}, status=401)
        if kind == "deploys":
            self.flows = (await request.json())["flows"]
            return web.json_response({"result": "stored", "name": ""})
        if request.method == "POST":
            body = await request.json()
            if kind == "flows":
                self.flows = body
            else:
                self.stored[kind] = body
            return web.json_response(body)
        return web.json_response(self.flows if kind == "flows" else self.stored.get(kind, {}))


def _bearer(request: web.Request) -> str:
    return request.headers.get("Authorization", "").removeprefix("Bearer ")


class Rig:
    """One launcher process, started as the placer does."""

    def __init__(self, appliance: FakeAppliance, directory: Path, stack: StackRef) -> None:
        self.appliance = appliance
        self.directory = directory
        self.stack = stack
        self.port, self.node_red_port = free_port(), free_port()
        self.process: asyncio.subprocess.Process | None = None
        self.prefix: list[str] = []  # a command that becomes the launcher
        self.pace = 0.25
        self.arguments: list[str] = []
        self._http: aiohttp.ClientSession | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/flowforge"

    @property
    def http(self) -> aiohttp.ClientSession:
        if self._http is None:
            headers = {"Authorization": f"Bearer {SECRETS['apiSecret']}"}
            self._http = aiohttp.ClientSession(headers=headers)
        return self._http

    async def start(self, ticket: str = "ticket-1", **limits: int) -> None:
        """`limits`: soft resource limits by prlimit's names."""
        self.directory.mkdir(parents=True, exist_ok=True)
        read, write = os.pipe()
        prlimit = ["prlimit", *(f"--{name}={value}" for name, value in limits.items()), "--"] if limits else []
        self.arguments = [
            *self.prefix,
            *prlimit,
            *(sys.executable, "-I", "-m", "launcher", "--instance", self.appliance.instance),
            *("--dir", str(self.directory), "--appliance", self.appliance.url),
            *("--port", str(self.port), "--node-red-port", str(self.node_red_port)),
            *("--node", self.stack.node, "--node-red", self.stack.node_red),
            *("--memory-mb", "300", "--generation", "4", "--boot-fd", str(read), "--pace", str(self.pace)),
        ]
        env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(self.directory)}
        with (self.directory.parent / "launcher.out").open("ab") as out:
            self.process = await asyncio.create_subprocess_exec(
                *self.arguments,
                cwd=self.directory,
                env=env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                pass_fds=[read],
                start_new_session=True,
            )
        os.close(read)
        os.write(write, json.dumps({"ticket": ticket}).encode() + b"\n")
        os.close(write)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    async def info(self) -> dict[str, Any]:
        async with self.http.get(self.url + "/info") as answer:
            return await answer.json() if answer.status == 200 else {}

    async def state(self) -> str:
        try:
            return str((await self.info()).get("state", ""))
        except aiohttp.ClientConnectionError:
            return ""

    async def until(self, *states: str, timeout_s: float = 30) -> dict[str, Any]:
        async def reached() -> bool:
            return await self.state() in states

        await eventually(reached, timeout_s, what=f"state {states}; launcher.out: {self.out()[-2000:]}")
        return await self.info()

    async def command(self, cmd: str, **fields: Any) -> int:
        async with self.http.post(self.url + "/command", json={"cmd": cmd, **fields}) as answer:
            return answer.status

    async def logs(self) -> list[dict[str, Any]]:
        async with self.http.get(self.url + "/logs") as answer:
            return await answer.json()

    async def entries(self, **query: str | int) -> dict[str, Any]:
        async with self.http.get(self.url + "/logs/entries", params=query) as answer:
            return await answer.json()

    async def said(self, text: str) -> bool:
        try:
            return any(text in str(entry["msg"]) for entry in await self.logs())
        except (aiohttp.ClientConnectionError, TypeError):  # not there yet, or not yet let in
            return False

    def out(self) -> str:
        return (self.directory.parent / "launcher.out").read_text()

    async def stop(self) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            return await self.process.wait()

    async def close(self) -> None:
        try:
            if self.process is not None and self.process.returncode is None:
                await self.stop()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
        finally:
            await self._end_what_is_left()
        if self._http is not None:
            await self._http.close()

    async def _end_what_is_left(self) -> None:
        """A Node-RED outlives a launcher that a test has killed, and is no child of ours: known by its HOME."""
        while left := self.at_home():
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            await eventually(lambda pids=left: not set(pids) & set(self.at_home()))

    def at_home(self) -> list[int]:
        """Processes that live in this rig's directory."""
        home = b"HOME=" + bytes(self.directory)
        pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
        return [pid for pid in pids if home in proc.environment(pid) and proc.start_time(pid) is not None]


@asynccontextmanager
async def rig(tmp_path: Path, stack: StackRef) -> AsyncIterator[Rig]:
    """A rig with its appliance up; the launcher is started by the test."""
    instance = "11111111-2222-4333-8444-555555555555"
    appliance = FakeAppliance(instance)
    await appliance.open()
    made = Rig(appliance, tmp_path / instance, stack)
    try:
        yield made
    finally:
        await made.close()
        await appliance.close()
