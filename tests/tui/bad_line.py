"""A line to a box that misbehaves on request: it is slow, refuses, breaks, and says what nobody expects.

It passes everything on to the real API, so whatever a screen asks is answered by the real box, and then spoilt here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

# Markup, an escape sequence that clears the screen, a bell, a line feed, text that reads backwards, cells of two.
NASTY = "[red]x[/] \x1b[2J\x07\n\u202egnp\u2066 計計"
# What programs read is left as it is: names of kinds, addresses, points in time.
FOR_PROGRAMS = re.compile(
    r"(?:id|.*Id|.*At|self|event|state|source|scope|scopes|kind|type|code|level|ts|at|since|.*Url)"
)
READ_BY_PROGRAMS = re.compile(r"[0-9a-f]{8}-.*|\d{4}-\d\d-\d\dT.*|https?:.*|/.*|\d+|true|false|null|")
TO_SAY_WHO = ("/user/permissions", "/events")


class BadLine:
    """A UNIX socket before the box's. `refuses` with 403 what is asked for, `refuses_changes` only what changes."""

    def __init__(self, socket: Path, box: Path) -> None:
        self.socket = socket
        self._box = box
        self.delay_s = 0.0
        self.refuses = False
        self.refuses_changes = False
        self.poison = False
        self.many = 0  # each list of objects has so many
        self.asked: list[tuple[str, str]] = []
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None

    async def up(self) -> None:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._pass_on)
        self._session = aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(self._box)))
        self._runner = web.AppRunner(application, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await web.UnixSite(self._runner, str(self.socket)).start()

    async def down(self) -> None:
        """Break all connections and take no more."""
        if self._session is not None:
            await self._session.close()
        if self._runner is not None:
            await self._runner.cleanup()
        self._runner = self._session = None
        self.socket.unlink(missing_ok=True)

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.path))
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        changes = request.method not in ("GET", "HEAD")
        if not request.path.endswith(TO_SAY_WHO) and (self.refuses or (changes and self.refuses_changes)):
            refusal = {"code": "forbidden", "error": f"That is not allowed {NASTY}.", "hint": "Ask the owner."}
            return web.json_response(refusal, status=403)
        assert self._session is not None
        body = await request.read()
        headers = {name: request.headers[name] for name in ("Content-Type", "Last-Event-ID") if name in request.headers}
        url = f"http://box{request.path_qs}"
        async with self._session.request(request.method, url, data=body or None, headers=headers) as answer:
            if answer.content_type == "text/event-stream":
                return await self._stream(request, answer)
            told = await answer.read()
            if answer.content_type == "application/json" and told and answer.status == 200:
                told = json.dumps(self._many_of(self._spoilt(json.loads(told)))).encode()
            kind = answer.headers.get("Content-Type", "")
            return web.Response(status=answer.status, body=told, headers={"Content-Type": kind} if kind else None)

    async def _stream(self, request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        with contextlib.suppress(ConnectionError, aiohttp.ClientError):
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
        return response

    def _many_of(self, told: Any) -> Any:
        """Each list of the answer, not those in its parts, as long as is asked for."""
        if not self.many or not isinstance(told, dict):
            return told
        return {
            name: _multiplied(each, self.many)
            if isinstance(each, list) and each and isinstance(each[0], dict)
            else each
            for name, each in told.items()
        }

    def _spoilt(self, told: Any, key: str = "") -> Any:
        if isinstance(told, dict):
            return {name: self._spoilt(each, name) for name, each in told.items()}
        if isinstance(told, list):
            return [self._spoilt(each, key) for each in told]
        if (
            self.poison
            and isinstance(told, str)
            and not (FOR_PROGRAMS.fullmatch(key) or READ_BY_PROGRAMS.fullmatch(told))
        ):
            return f"{told[:8]}{NASTY}"
        return told


def _multiplied(told: list[dict[str, Any]], many: int) -> list[dict[str, Any]]:
    return [*told, *({**told[-1], **_others(told[-1], number)} for number in range(many - len(told)))]


def _others(one: dict[str, Any], number: int) -> dict[str, Any]:
    """An id and a name of its own; ids of programs have digits at the end."""
    told = {name: f"{one[name]}-{number}" for name in ("name", "username", "slug") if isinstance(one.get(name), str)}
    if isinstance(one.get("id"), str):
        told["id"] = f"{one['id'][:-5]}{number:05d}" if len(one["id"]) > 8 else f"{one['id']}{number}"
    return told


@contextlib.asynccontextmanager
async def bad_line(box: Path, at: Path) -> AsyncIterator[BadLine]:
    """A line to the API's socket `box`; the screens are given `at`."""
    line = BadLine(at, box)
    await line.up()
    try:
        yield line
    finally:
        await line.down()
