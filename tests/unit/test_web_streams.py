"""Streams: what happens to instances, and their consoles."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from appliance.events import Bus, Event
from appliance.model import LauncherReport, LauncherState, Observation, Phase, Role
from appliance.schema.instances import Instance
from appliance.schema.users import ChangeUser
from appliance.web import sse
from appliance.web.feed import Feed
from tests.support import eventually
from tests.web_box import API, WebBox, web_box


class Stream:
    """Reads server-sent events; comments come as event `comment`."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer

    async def next(self, timeout_s: float = 10) -> dict[str, Any] | None:
        """The next event, None at the end of the stream."""
        fields: dict[str, Any] = {}
        async with asyncio.timeout(timeout_s):
            while line := (await self.answer.content.readline()).decode():
                if line.startswith(":"):
                    return {"event": "comment"}
                if line == "\n" and "event" in fields:
                    return {**fields, "data": json.loads(fields["data"])}
                if line != "\n":
                    name, _, value = line.rstrip("\n").partition(": ")
                    fields[name] = value
        return None


@asynccontextmanager
async def opened(client: aiohttp.ClientSession, path: str, last: str | None = None) -> AsyncIterator[Stream]:
    headers = {"Last-Event-ID": last} if last else {}
    async with client.get(path, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.content_type == "text/event-stream"
        yield Stream(answer)


async def test_a_stream_begins_with_everything_and_goes_on(box: WebBox) -> None:
    await box.instance("first")
    async with opened(box.client("api"), f"{API}/events") as stream:
        first = await stream.next()
        assert first and first["event"] == "reset"
        assert [i["name"] for i in first["data"]["instances"]] == ["first"]
        second = await box.instance("second")
        told = await stream.next()
        assert told and told["event"] == "instance.changed" and told["data"] == {"id": second.id}
        where = told["id"]
    await box.services.instances.stop(await box.services.accounts.root(), second.id)
    async with opened(box.client("api"), f"{API}/events", last=where) as stream:
        missed = await stream.next()
        assert missed and (missed["event"], missed["data"]["id"]) == ("instance.changed", second.id)


@pytest.mark.parametrize("last", ["nonsense", "00000000-1", "-", "x" * 5000])
async def test_an_id_of_another_time_begins_anew(box: WebBox, last: str) -> None:
    async with opened(box.client("api"), f"{API}/events", last=last) as stream:
        told = await stream.next()
        assert told and told["event"] == "reset"


async def test_states_reach_the_stream_as_they_are_shown(box: WebBox) -> None:
    instance = await box.instance("first")
    spec = await box.services.instances.spec(instance.id)
    assert spec is not None
    box.observed.know(spec)
    async with opened(box.client("api"), f"{API}/events") as stream:
        await stream.next()
        box.observed.seen(Observation(id=instance.id, phase=Phase.UP, pid=7, generation=1))
        report = LauncherReport(
            state=LauncherState.CRASHED,
            seq=1,
            pid=7,
            node_red_pid=None,
            command_generation=spec.command_generation,
            versions={},
            reason="exit_1",
            message="Node-RED ended with code 1.",
            at=datetime.now(UTC),
        )
        box.observed.report(instance.id, report)

        async def crashed() -> bool:
            told = await stream.next()
            assert told is not None
            return bool(told["event"] == "instance.state" and told["data"]["meta"]["state"] == "crashed")

        await eventually(crashed)


async def test_everyone_sees_only_his_own(box: WebBox) -> None:
    sam = box.client("tcp", await box.token(await box.person("sam", Role.NONE)))
    vera = box.client("tcp", await box.token(await box.person("vera", Role.VIEWER)))
    async with opened(sam, f"{API}/events") as his, opened(vera, f"{API}/events") as hers:
        assert (await his.next())["data"]["instances"] == []  # type: ignore[index]
        await hers.next()
        secret = await box.instance("secret")
        told = await hers.next()
        assert told and told["data"] == {"id": secret.id}
        box.context.bus.publish(Event("instance.changed", "for-sam-only", None))
        with pytest.raises(TimeoutError):
            await his.next(0.3)


async def test_a_revoked_token_ends_its_stream(box: WebBox) -> None:
    vera = await box.person("vera", Role.VIEWER)
    client = box.client("tcp", await box.token(vera))
    async with opened(client, f"{API}/events") as stream:
        await stream.next()
        await box.services.directory.users.change(box.root, vera.id, ChangeUser(suspended=True))

        async def ended() -> bool:
            return await stream.next() is None

        await eventually(ended, timeout_s=5)
    async with client.get(f"{API}/events") as answer:
        assert answer.status == 401


async def test_quiet_streams_are_kept_alive(box: WebBox, monkeypatch: pytest.MonkeyPatch) -> None:
    from appliance.web.handlers import events

    monkeypatch.setattr(events, "KEEPALIVE_S", 0.05)
    async with opened(box.client("api"), f"{API}/events") as stream:
        await stream.next()
        for _ in range(3):
            assert await stream.next() == {"event": "comment"}


async def test_a_client_that_takes_nothing_is_dropped(box: WebBox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its place in the feed costs nothing, but the connection must not stay for ever."""
    monkeypatch.setattr(sse, "WRITE_DEADLINE_S", 0.2)
    reader, writer = await asyncio.open_unix_connection(str(box.context.home.api_socket), limit=1024)
    writer.write(f"GET {API}/events HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    await reader.readuntil(b"reset")
    before = len(box.services.feed._waiting)
    assert before == 1
    for number in range(400):
        box.context.bus.publish(Event("instance.changed", f"{number}", None, {"id": "x" * 10_000}))
        await asyncio.sleep(0)
    await eventually(lambda: not box.services.feed._waiting, timeout_s=5)
    box.context.bus.publish(Event("instance.changed", "last", None))
    await asyncio.sleep(0)
    assert not box.services.feed._waiting
    writer.close()


async def test_closing_ends_streams_at_once(home: Path) -> None:
    async with web_box(home) as box:
        client = box.client("api")
        answer = await client.get(f"{API}/events")
        stream = Stream(answer)
        await stream.next()
        box.services.feed.close()
        assert await stream.next() is None


def test_the_ring_is_bounded_and_says_when_something_is_lost() -> None:
    bus = Bus()
    feed = Feed(bus, keep=3)
    for number in range(5):
        bus.publish(Event("instance.changed", str(number)))
        bus.publish(Event("audit", "not for streams"))
    assert feed.after(1) is None, "the first two fell out"
    assert [event.key for _, event in feed.after(3) or ()] == ["2", "3", "4"]
    assert feed.position_after(feed.id_of(2)) == 3
    assert feed.position_after(feed.id_of(1)) is None
    assert feed.position_after(feed.id_of(5)) == 6
    assert feed.position_after(feed.id_of(9)) is None


# Consoles, with a launcher played by a small server


@asynccontextmanager
async def launcher(box: WebBox, instance: Instance) -> AsyncIterator[list[str]]:
    """Answers the log routes of the launcher of `instance`; what was asked is kept."""
    asked: list[str] = []
    secret = box.services.tokens.api_secret(instance.id, 1)

    async def entries(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == f"Bearer {secret}"
        asked.append(request.path_qs)
        log = [{"ts": f"1700000000000{n:04d}", "level": "info", "msg": f"line {n}"} for n in range(5, 8)]
        meta = {"first_entry": "17000000000000000", "previous_cursor": "-17000000000000004"}
        return web.json_response({"meta": meta, "logs": log})

    async def follow(request: web.Request) -> web.StreamResponse:
        asked.append(request.path_qs)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b': hello\n\nid: 17000000000000005\nevent: log\ndata: {"msg": "<b>\\u001b"}\n\n')
        await response.write(b'event: dropped\ndata: {"count":3}\n\n')
        return response

    app = web.Application()
    app.router.add_get("/flowforge/logs/entries", entries)
    app.router.add_get("/flowforge/logs/stream", follow)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", instance.ports["launcher"]).start()
    try:
        yield asked
    finally:
        await runner.cleanup()


async def test_pages_of_the_console(box: WebBox) -> None:
    instance = await box.instance("first")
    async with launcher(box, instance) as asked:
        path = f"{API}/projects/{instance.id}/logs"
        async with box.client("api").get(path) as answer:
            page = await answer.json()
        assert [entry["msg"] for entry in page["log"]] == ["line 5", "line 6", "line 7"]
        assert page["meta"] == {
            "next_cursor": "17000000000000007",
            "previous_cursor": "-17000000000000005",
            "first_entry": "17000000000000000",
            "last_entry": "17000000000000007",
        }
        async with box.client("api").get(path + "?cursor=-17000000000000005&limit=7") as answer:
            assert answer.status == 200
        assert "cursor=-17000000000000004" in asked[-1] and "limit=7" in asked[-1]


async def test_the_console_live(box: WebBox) -> None:
    instance = await box.instance("first")
    async with launcher(box, instance) as asked:
        path = f"{API}/projects/{instance.id}/logs/stream"
        async with opened(box.client("api"), path, last="17000000000000004") as stream:
            told = [await stream.next() for _ in range(3)]
            assert told[0] == {"event": "comment"}
            assert told[1] == {"id": "17000000000000005", "event": "log", "data": {"msg": "<b>\x1b"}}
            assert told[2] == {"event": "dropped", "data": {"count": 3}}
            assert await stream.next() is None, "ends with the launcher's, so that the client comes back"
        assert "cursor=17000000000000005" in asked[-1]


async def test_a_launcher_that_is_away(box: WebBox) -> None:
    instance = await box.instance("first")
    for path in ("logs", "logs/stream"):
        async with box.client("api").get(f"{API}/projects/{instance.id}/{path}") as answer:
            body = await answer.json()
            assert (answer.status, body["code"]) == (503, "connection_refused")
            assert body["hint"]
