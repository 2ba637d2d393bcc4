"""A small real server with the box's answers, on a UNIX socket; it can also misbehave on purpose."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import web

from appliance.auth.permissions import PERMISSIONS
from tests.tui.fakedata import FINGERPRINT, TEAM, Json, applications, event, instance, log_entry, short, stacks, teams


class FakeBox:
    """Answers as the box does. Attributes are what the "database" holds and how to misbehave.
    `refuse` maps "METHOD /path" to (status, body); `delay_s` slows every answer; `seen` lists what was asked.
    """

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.instances: list[Json] = []
        self.problems: list[Json] = []
        self.logs: dict[str, list[Json]] = {}
        self.audit: dict[str, list[Json]] = {}
        self.refuse: dict[str, tuple[int, Any]] = {}
        self.seen: list[tuple[str, str, Any]] = []
        self.delay_s = 0.0
        self.admin, self.role = True, 50
        self.mute = False  # streams send nothing at all, not even keepalives
        self.settle: Callable[[Json, str], Awaitable[None]] = self._settle
        self.streams: set[asyncio.Queue[bytes | None]] = set()
        self.log_streams: dict[str, set[asyncio.Queue[bytes | None]]] = {}
        self.headers: list[Json] = []
        self._number = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        self.socket.parent.mkdir(parents=True, exist_ok=True)
        self.socket.unlink(missing_ok=True)
        application = web.Application(middlewares=[self._middleware])
        application.add_routes(self._routes())
        self._runner = web.AppRunner(application, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await web.UnixSite(self._runner, str(self.socket)).start()

    async def stop(self) -> None:
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self.socket.unlink(missing_ok=True)

    def add(self, name: str, state: str = "running", message: str = "", **meta: Any) -> Json:
        found = instance(len(self.instances), name, state, message, **meta)
        self.instances.append(found)
        self.publish("instance.changed", {"id": found["id"]})
        return found

    def find(self, key: str) -> Json:
        for each in self.instances:
            if key in (each["id"], each["name"]):
                return each
        raise KeyError(key)

    def set_state(self, key: str, state: str, message: str = "", **meta: Any) -> None:
        found = self.find(key)
        found["meta"] = {**found["meta"], "state": state, "message": message, **meta}
        self.publish("instance.state", {"id": found["id"], "name": found["name"], "meta": found["meta"]})

    def set_resources(self, key: str, resources: Json | None) -> None:
        found = self.find(key)
        found["resources"] = resources
        self.publish("instance.resources", {"id": found["id"], "name": found["name"], "resources": resources})

    def remove(self, key: str) -> None:
        found = self.find(key)
        self.instances.remove(found)
        self.publish("instance.removed", {"id": found["id"]})

    def log(self, key: str, text: Any, level: str = "info", **more: Any) -> None:
        ident = self.find(key)["id"]
        entries = self.logs.setdefault(ident, [])
        entries.append(log_entry(text, level, at=len(entries), **more))
        self._offer_log(ident, event("log", entries[-1], entries[-1]["ts"]))

    def log_many(self, key: str, texts: list[str]) -> None:
        """Many lines in one write, faster than any single line could be sent."""
        ident = self.find(key)["id"]
        found = self.logs.setdefault(ident, [])
        chunks = []
        for text in texts:
            found.append(log_entry(text, at=len(found)))
            chunks.append(event("log", found[-1], found[-1]["ts"]))
        self._offer_log(ident, b"".join(chunks))

    def publish(self, kind: str, data: Any) -> None:
        self._number += 1
        for queue in self.streams:
            queue.put_nowait(event(kind, data, str(self._number)))

    def cut(self) -> None:
        """End all streams in the middle, as a restart of the appliance does."""
        for queue in [*self.streams, *(each for group in self.log_streams.values() for each in group)]:
            queue.put_nowait(None)

    def asked(self, method: str, path_end: str) -> list[Any]:
        """The bodies of matching requests."""
        return [body for verb, path, body in self.seen if verb == method and path.endswith(path_end)]

    def _offer_log(self, ident: str, chunk: bytes) -> None:
        for queue in self.log_streams.get(ident, ()):
            queue.put_nowait(chunk)

    def _routes(self) -> list[web.RouteDef]:
        api = "/api/v1"
        return [
            web.get(f"{api}/box/status", self._status),
            web.get(f"{api}/instances", self._list),
            web.get(f"{api}/instances/{{key}}", self._show),
            web.post(f"{api}/projects", self._create),
            web.put(f"{api}/projects/{{key}}", self._change),
            web.delete(f"{api}/projects/{{key}}", self._delete),
            web.post(f"{api}/projects/{{key}}/actions/{{action}}", self._act),
            web.post(f"{api}/projects/{{key}}/shells", self._shell_opened),
            web.get(f"{api}/projects/{{key}}/logs", self._logs),
            web.get(f"{api}/projects/{{key}}/audit-log", self._audit_log),
            web.get(f"{api}/projects/{{key}}/resources", self._samples),
            web.get(f"{api}/projects/{{key}}/logs/stream", self._log_stream),
            web.get(f"{api}/events", self._events),
            web.get(f"{api}/stacks", self._stacks),
            web.get(f"{api}/user/teams", self._teams),
            web.get(f"{api}/user/permissions", self._rights),
            web.get(f"{api}/teams/{{key}}/applications", self._applications),
            web.post(f"{api}/user/tokens", self._token),
        ]

    @web.middleware
    async def _middleware(self, request: web.Request, handler: Any) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else None
        self.seen.append((request.method, request.path, body))
        self.headers.append(dict(request.headers))
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        refused = self.refuse.get(f"{request.method} {request.path}") or self.refuse.get(request.method)
        if refused:
            status, answer = refused
            if isinstance(answer, str):
                return web.Response(status=status, text=answer, content_type="text/html")
            return web.json_response(answer, status=status)
        try:
            return await handler(request)  # type: ignore[no-any-return]
        except KeyError as error:
            return web.json_response({"code": "not_found", "error": f"Not Found: {error.args[0]}"}, status=404)

    async def _status(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "appliance": {
                    "pid": 4242,
                    "url": "https://pi4.local:8443",
                    "version": "0.1.0",
                    "startedAt": (datetime.now(UTC) - timedelta(hours=3)).isoformat(),
                    "ready": True,
                    "names": ["pi4.local", "localhost"],
                    "home": str(self.socket.parent.parent),
                    "caFingerprint": FINGERPRINT,
                },
                "instances": [short(each) for each in self.instances],
                "host": {
                    "cpuPercent": 12.4,
                    "memoryUsedBytes": 2_440_000_000,
                    "memoryTotalBytes": 4_000_000_000,
                    "diskUsedBytes": 13_760_000_000,
                    "diskTotalBytes": 32_000_000_000,
                },
                "problems": self.problems,
            }
        )

    async def _list(self, _: web.Request) -> web.Response:
        return web.json_response({"count": len(self.instances), "instances": self.instances})

    async def _show(self, request: web.Request) -> web.Response:
        return web.json_response(self.find(request.match_info["key"]))

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        if any(each["name"].lower() == body["name"].lower() for each in self.instances):
            refusal = {"code": "invalid_project_name", "error": f"an instance is called '{body['name']}' already"}
            return web.json_response({**refusal, "hint": "Choose another name."}, status=409)
        made = self.add(body["name"], "starting")
        self._later(self.settle(made, "start"))
        return web.json_response(made)

    async def _change(self, request: web.Request) -> web.Response:
        body, found = await request.json(), self.find(request.match_info["key"])
        found["name"] = body.get("name", found["name"])
        found["launcherSettings"] = {**found["launcherSettings"], **body.get("launcherSettings", {})}
        return web.json_response({**found, "note": "At the next start." if "launcherSettings" in body else ""})

    async def _delete(self, request: web.Request) -> web.Response:
        found = self.find(request.match_info["key"])
        self._later(self.settle(found, "delete"))
        return web.json_response({"status": "okay"})

    async def _act(self, request: web.Request) -> web.Response:
        found, action = self.find(request.match_info["key"]), request.match_info["action"]
        self._later(self.settle(found, action))
        return web.json_response({"status": "okay"})

    async def _shell_opened(self, request: web.Request) -> web.Response:
        self.find(request.match_info["key"])
        return web.json_response({"status": "okay"})

    async def _settle(self, found: Json, action: str) -> None:
        """What the reconciler and the launcher do after a command."""
        if action == "delete":
            self.remove(found["id"])
            return
        between = {"start": "starting", "stop": "stopping", "suspend": "suspending"}
        end = {"restartSafe": "safe", "stop": "stopped", "suspend": "suspended"}
        self.set_state(found["id"], between.get(action, "restarting"))
        await asyncio.sleep(0.05)
        self.set_state(found["id"], end.get(action, "running"))

    async def _logs(self, request: web.Request) -> web.Response:
        found = self.logs.get(self.find(request.match_info["key"])["id"], [])
        limit, cursor = int(request.query.get("limit", 30)), request.query.get("cursor", "")
        if cursor.startswith("-"):
            found = [each for each in found if each["ts"] < cursor[1:]]
        elif cursor:
            found = [each for each in found if each["ts"] > cursor][:limit]
        page = found[-limit:]
        meta: Json = {}
        if page:
            meta = {"next_cursor": page[-1]["ts"], "first_entry": found[0]["ts"], "last_entry": found[-1]["ts"]}
        if page and page[0] is not found[0]:
            meta["previous_cursor"] = "-" + page[0]["ts"]
        return web.json_response({"meta": meta, "log": page})

    async def _audit_log(self, request: web.Request) -> web.Response:
        found, asked = self.audit.get(self.find(request.match_info["key"])["id"], []), request.query
        limit, before = int(asked.get("limit", 100)), int(asked.get("cursor", 2**62))
        log = [e for e in found if e["event"] in asked.getall("event", [e["event"]]) and int(e["id"]) < before][:limit]
        meta = {"next_cursor": log[-1]["id"]} if len(log) == limit else {}
        return web.json_response({"meta": meta, "count": len(log), "log": log})

    async def _samples(self, request: web.Request) -> web.Response:
        found = self.find(request.match_info["key"]).get("samples", [])
        return web.json_response({"meta": {}, "resources": found, "count": len(found)})

    async def _log_stream(self, request: web.Request) -> web.StreamResponse:
        ident = self.find(request.match_info["key"])["id"]
        found = self.logs.get(ident, [])
        cursor = request.query.get("cursor", "")
        first = b"".join(event("log", each, each["ts"]) for each in found if each["ts"] >= cursor) if cursor else b""
        return await self._stream(request, self.log_streams.setdefault(ident, set()), first)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        states = [{"id": each["id"], "name": each["name"], "meta": each["meta"]} for each in self.instances]
        return await self._stream(request, self.streams, event("reset", {"instances": states}, str(self._number)))

    async def _stream(
        self, request: web.Request, into: set[asyncio.Queue[bytes | None]], first: bytes
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        into.add(queue)
        try:
            if not self.mute:
                await response.write(b": hello\n\n" + first)
            while (chunk := await queue.get()) is not None:
                if not self.mute:
                    await response.write(chunk)
            if request.transport is not None:
                request.transport.abort()
        except ConnectionError:
            pass
        finally:
            into.discard(queue)
        return response

    async def _stacks(self, _: web.Request) -> web.Response:
        return web.json_response(stacks())

    async def _teams(self, _: web.Request) -> web.Response:
        return web.json_response(teams())

    async def _rights(self, _: web.Request) -> web.Response:
        needed = {each.name: int(each.role) for each in PERMISSIONS.values()}
        return web.json_response({"admin": self.admin, "permissions": needed, "teams": {TEAM["id"]: self.role}})

    async def _applications(self, _: web.Request) -> web.Response:
        return web.json_response(applications())

    async def _token(self, request: web.Request) -> web.Response:
        body = await request.json()
        return web.json_response({"id": "tok1", "name": body["name"], "token": "ffpat_secret", "expiresAt": None})

    def _later(self, work: Awaitable[None]) -> None:
        async def run() -> None:
            await work

        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


@contextlib.asynccontextmanager
async def running(home: Path) -> AsyncIterator[FakeBox]:
    """A box under `home` with three instances, one of them crashed."""
    box = FakeBox(home / "run" / "api.sock")
    box.add("plant-a")
    box.add("plant-b", "stopped")
    box.add("plant-test", "crashed", "exit 1, 14 restarts in 10 min", restarts=14)
    await box.start()
    try:
        yield box
    finally:
        await box.stop()


if __name__ == "__main__":  # to look at the screens by hand: python -m tests.tui.fakebox DIR

    async def demo(home: Path) -> None:
        async with running(home) as box:
            [box.add(f"line-{number:02d}", ("running", "stopped", "starting")[number % 3]) for number in range(20)]
            while True:
                await asyncio.sleep(1)
                box.log("plant-a", f"tick {time.strftime('%H:%M:%S')}")

    asyncio.run(demo(Path(sys.argv[1])))
