"""Live streams end with the right to them, as a launcher goes on talking; it is played by a small server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from appliance.model import Role
from appliance.schema.instances import Instance
from appliance.schema.users import ChangeUser, User
from tests.web_box import API, WebBox, web_box

AT_ONCE_S = 5.0  # well before anybody would look by himself
Lose = Callable[[WebBox, User, str], Awaitable[None]]


@pytest.fixture
async def box(home: Path) -> AsyncIterator[WebBox]:
    async with web_box(home) as box:
        yield box


@asynccontextmanager
async def talking(instance: Instance, *, quiet: bool) -> AsyncIterator[None]:
    """A launcher whose streams never end: with something to say every moment, or after one line with nothing."""

    async def follow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for number in range(1 if quiet else 100_000):
            await response.write(f'id: {17 * 10**15 + number}\nevent: log\ndata: {{"msg": "x"}}\n\n'.encode())
            await asyncio.sleep(0.01)
        await asyncio.Event().wait()
        return response

    app = web.Application()
    app.router.add_get("/flowforge/logs/stream", follow)
    app.router.add_get("/flowforge/resources/stream", follow)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", instance.ports["launcher"]).start()
    try:
        yield
    finally:
        await runner.cleanup()


async def leave(box: WebBox, user: User, team_id: str) -> None:
    await box.services.directory.members.remove(box.root, team_id, user.id)


async def demote(box: WebBox, user: User, team_id: str) -> None:
    await box.services.directory.members.set_role(box.root, team_id, user.id, Role.DASHBOARD)


async def suspend(box: WebBox, user: User, team_id: str) -> None:
    await box.services.directory.users.change(box.root, user.id, ChangeUser(suspended=True))


async def stays(box: WebBox, user: User, team_id: str) -> None:
    """Somebody else loses his."""
    other = await box.person("otto", Role.VIEWER)
    await leave(box, other, team_id)


async def ends(answer: aiohttp.ClientResponse) -> bool:
    """Whether the stream ends by itself soon."""
    try:
        async with asyncio.timeout(AT_ONCE_S):
            while await answer.content.readline():
                pass
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("quiet", [False, True], ids=["busy", "quiet"])
@pytest.mark.parametrize("lose", [leave, demote, suspend])
@pytest.mark.parametrize("path", ["logs", "resources"])
async def test_a_stream_ends_with_the_right_to_it(box: WebBox, path: str, lose: Lose, quiet: bool) -> None:
    instance, vera = await box.instance("first"), await box.person("vera", Role.VIEWER)
    client = box.client("tcp", await box.token(vera))
    team_id = await box.services.teams.team_of("instance", instance.id)
    assert team_id is not None
    async with (
        talking(instance, quiet=quiet),
        client.get(f"{API}/projects/{instance.id}/{path}/stream") as answer,
    ):
        assert answer.status == 200, await answer.text()
        async with asyncio.timeout(AT_ONCE_S):
            while b"data:" not in await answer.content.readline():
                pass
        await lose(box, vera, team_id)
        assert await ends(answer)


async def test_a_stream_goes_on_while_others_lose_theirs(box: WebBox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.unit.test_web_rights_end.AT_ONCE_S", 1.0)
    instance, vera = await box.instance("first"), await box.person("vera", Role.VIEWER)
    client = box.client("tcp", await box.token(vera))
    team_id = await box.services.teams.team_of("instance", instance.id)
    assert team_id is not None
    async with (
        talking(instance, quiet=False),
        client.get(f"{API}/projects/{instance.id}/logs/stream") as answer,
    ):
        await stays(box, vera, team_id)
        assert not await ends(answer)


async def test_events_are_those_of_what_one_is_now(box: WebBox) -> None:
    """Somebody who was an administrator gets nothing more of what only administrators see."""
    ada = await box.person("ada", Role.NONE, admin=True)
    client = box.client("tcp", await box.token(ada, admin_opt_in=True))
    async with client.get(f"{API}/events") as answer:
        async with asyncio.timeout(AT_ONCE_S):
            while b"reset" not in await answer.content.readline():
                pass
        await box.services.directory.users.change(box.root, ada.id, ChangeUser(admin=False))
        secret = await box.instance("secret")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                while secret.id.encode() not in await answer.content.readline():
                    pass
