"""The shell of an instance over its WebSocket, its launcher played by a small server: it ends with the right to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from appliance.model import Role
from appliance.schema.instances import Instance
from appliance.schema.users import ChangeUser, User
from tests.web_box import API, WebBox, web_box


@pytest.fixture
async def box(home: Path) -> AsyncIterator[WebBox]:
    async with web_box(home, sandboxed=True) as box:
        yield box


@asynccontextmanager
async def launcher(instance: Instance) -> AsyncIterator[None]:
    """Opens a shell that says what is typed, frames and all."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        while said := await reader.read(100):
            writer.write(said)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", instance.ports["launcher"])
    try:
        yield
    finally:
        server.close()


async def suspend(box: WebBox, user: User, team_id: str) -> None:
    await box.services.directory.users.change(box.root, user.id, ChangeUser(suspended=True))


async def demote(box: WebBox, user: User, team_id: str) -> None:
    await box.services.directory.members.set_role(box.root, team_id, user.id, Role.MEMBER)


async def remove(box: WebBox, user: User, team_id: str) -> None:
    await box.services.directory.members.remove(box.root, team_id, user.id)


@pytest.mark.parametrize("lose", [suspend, demote, remove])
async def test_a_shell_ends_with_the_right_to_it(
    box: WebBox, lose: Callable[[WebBox, User, str], Awaitable[None]]
) -> None:
    instance, owner = await box.instance("first"), await box.person("olga", Role.OWNER)
    client = box.client("tcp", await box.token(owner))
    team_id = await box.services.teams.team_of("instance", instance.id)
    assert team_id is not None
    path = f"{API}/projects/{instance.id}/shell"
    async with launcher(instance), client.ws_connect(path) as shell:
        await shell.send_bytes(b"dls\n")
        assert (await shell.receive(timeout=5)).data == b"d\0\0\0\3ls\n"
        await lose(box, owner, team_id)
        # Well before anybody would look by himself.
        assert (await shell.receive(timeout=5)).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)


async def test_a_shell_stays_while_others_come_and_go(box: WebBox) -> None:
    instance, owner = await box.instance("first"), await box.person("olga", Role.OWNER)
    other = await box.person("otto", Role.OWNER)
    client = box.client("tcp", await box.token(owner))
    async with launcher(instance), client.ws_connect(f"{API}/projects/{instance.id}/shell") as shell:
        await suspend(box, other, "")
        await shell.send_bytes(b"dls\n")
        assert (await shell.receive(timeout=5)).data == b"d\0\0\0\3ls\n"


async def test_without_sandboxes_it_is_for_administrators(home: Path) -> None:
    """Such a shell owns the whole box: an owner is told so, an administrator gets it, the audit log says as whom."""
    async with web_box(home) as box:
        instance, owner = await box.instance("first"), await box.person("olga", Role.OWNER)
        path = f"{API}/projects/{instance.id}/shell"
        client = box.client("tcp", await box.token(owner))
        async with launcher(instance):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await client.ws_connect(path)
            assert refused.value.status == 403
            ada = await box.person("ada", Role.NONE, admin=True)
            client = box.client("tcp", await box.token(ada, admin_opt_in=True))
            async with client.ws_connect(path) as shell:
                await shell.send_bytes(b"dls\n")
                assert (await shell.receive(timeout=5)).data == b"d\0\0\0\3ls\n"
                await box.services.directory.users.change(box.root, ada.id, ChangeUser(admin=False))
                assert (await shell.receive(timeout=5)).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        async with box.client("api").get(f"{API}/projects/{instance.id}/audit-log") as answer:
            (opened,) = [each for each in (await answer.json())["log"] if each["event"] == "instance.shell.opened"]
        assert "who owns the whole box" in opened["body"]["info"]["account"]
