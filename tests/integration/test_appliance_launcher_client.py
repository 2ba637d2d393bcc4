"""The client of launchers against a real server that answers, refuses, cuts and stays silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from msgspec.structs import replace

from appliance import launcher_client
from appliance.errors import NOT_ASKED, Unavailable
from appliance.launcher_client import LauncherClient
from appliance.model import InstanceSpec, LauncherState
from tests.contract.rig import spec_of
from tests.descriptors import left
from tests.support import free_port

ID = "a" * 8
INFO = {
    "id": ID, "state": "safe", "lastStartTime": 1, "versions": {"node": "24"}, "pid": 7, "nodeRedPid": 8, "seq": 9,
    "commandGeneration": 5, "generation": 3, "reason": "crash_loop", "message": "why", "listening": True,
}  # fmt: skip


class FakeLauncher:
    """Answers as the launcher does; `behaviour` names how it misbehaves."""

    def __init__(self) -> None:
        self.behaviour = ""
        self.odd = ""
        self.commands: list[object] = []
        self.queries: list[dict[str, str]] = []
        self.hang = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer secret-{ID}-3":
            return web.json_response({"code": "unauthorized"}, status=401)
        if self.behaviour == "cut":
            assert request.transport is not None
            request.transport.abort()
        if self.behaviour == "hang":
            await self.hang.wait()
        if self.behaviour == "garbage":
            return web.Response(text="<html>")
        if self.behaviour == "error":
            return web.Response(status=500)
        self.queries.append(dict(request.query))
        return await self._right(request)

    async def _right(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/flowforge/info":
            other = {"other": {"id": "other"}, "odd time": {"nextTryAt": self.odd}}.get(self.behaviour, {})
            return web.json_response({**INFO, **other})
        if request.path == "/flowforge/command":
            self.commands.append(await request.json())
            return web.json_response({})
        if request.path == "/flowforge/logs/entries":
            return web.json_response({"meta": {"next_cursor": "2"}, "logs": [{"ts": "1"}]})
        return await self._stream(request)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b': weir log\n\nid: 00000000000000001\nevent: log\ndata: {"msg":"a: b"}\n\n')
        if self.behaviour == "endless line":
            await response.write(b"data: " + b"x" * (3 << 20))
        if self.behaviour == "cut stream":
            assert request.transport is not None
            request.transport.abort()
        if self.behaviour == "silent stream":
            await self.hang.wait()
        return response


@asynccontextmanager
async def launcher() -> AsyncIterator[tuple[FakeLauncher, LauncherClient, InstanceSpec]]:
    fake, client, port = FakeLauncher(), LauncherClient(lambda i, g: f"secret-{i}-{g}"), free_port()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fake.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield fake, client, replace(spec_of(ID), launcher_port=port, generation=3)
    finally:
        fake.hang.set()
        await client.close()
        await runner.cleanup()


@pytest.mark.parametrize(
    "odd", ["soon", "2026-11-23T12:00:00", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"]
)
async def test_a_next_try_that_is_no_time_is_none(odd: str) -> None:
    """A time that UTC can't hold would fail again wherever the instance is shown, all others with it."""
    async with launcher() as (fake, client, at):
        fake.behaviour, fake.odd = "odd time", odd
        assert (await client.info(at)).next_try_at is None


async def test_info_command_and_logs() -> None:
    async with launcher() as (fake, client, at):
        report = await client.info(at)
        assert (report.state, report.pid, report.node_red_pid) == (LauncherState.SAFE, 7, 8)
        assert (report.seq, report.command_generation, report.reason) == (9, 5, "crash_loop")
        await client.command(at, "restart", 6)
        assert fake.commands == [{"cmd": "restart", "generation": 6, "safe": False, "now": False, "token": ""}]
        page = await client.logs(at, cursor="-3", limit=10)
        assert (page.meta["next_cursor"], page.log) == ("2", [{"ts": "1"}])
        assert fake.queries[-1] == {"cursor": "-3", "limit": "10"}


async def test_stream_is_passed_on_and_ends() -> None:
    async with launcher() as (fake, client, at), client.stream(at, cursor="5") as events:
        found = [event async for event in events]
        assert [e.event for e in found] == ["keepalive", "log"]
        assert (found[1].id, found[1].data) == ("00000000000000001", '{"msg":"a: b"}')
        assert fake.queries == [{"cursor": "5"}]


@pytest.mark.parametrize(
    ("behaviour", "code", "says"),
    [
        ("cut", "connection_reset", "closed the connection"),
        ("hang", "connection_reset", "did not answer in time"),
        ("garbage", "connection_reset", "unexpected"),
        ("error", "connection_reset", "answered 500"),
        ("other", "connection_refused", "answered by instance other"),
    ],
)
async def test_what_goes_wrong_is_named(behaviour: str, code: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher_client, "INFO_S", 0.2)
    async with launcher() as (fake, client, at):
        fake.behaviour = behaviour
        with pytest.raises(Unavailable) as lost:
            await client.info(at)
        assert (lost.value.code, says in str(lost.value)) == (code, True), str(lost.value)


async def test_wrong_secret_is_somebody_else() -> None:
    async with launcher() as (_, client, at):
        with pytest.raises(Unavailable, match="refuses our secret"):
            await client.info(replace(at, generation=2))


async def test_nobody_listens() -> None:
    client = LauncherClient(lambda _i, _g: "s")
    with pytest.raises(Unavailable) as lost:
        await client.info(replace(spec_of(ID), launcher_port=free_port()))
    assert lost.value.code == "connection_refused"
    with left(0), pytest.raises(Unavailable) as unasked:
        await client.info(spec_of(ID))
    assert unasked.value.code == NOT_ASKED, "that says nothing about the launcher"
    await client.close()


@pytest.mark.parametrize("behaviour", ["cut stream", "silent stream", "endless line"])
async def test_broken_stream_says_so(behaviour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher_client, "SILENCE_S", 0.2)
    async with launcher() as (fake, client, at):
        fake.behaviour = behaviour
        with pytest.raises(Unavailable) as lost:
            async with client.stream(at) as events:
                async for _ in events:
                    pass
        assert lost.value.code == "connection_reset"


async def test_reader_that_fails_is_not_blamed_on_the_launcher() -> None:
    async with launcher() as (_, client, at):
        with pytest.raises(ConnectionResetError, match="the browser went away"):
            async with client.stream(at) as events:
                async for _ in events:
                    raise ConnectionResetError("the browser went away")
