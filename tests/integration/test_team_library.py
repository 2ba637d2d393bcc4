"""The team library in the dialogs of a real Node-RED, kept by the appliance's real web part."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from msgspec import Struct

from appliance.schema.instances import CreateInstance
from appliance.schema.users import CreateApplication, CreateTeam
from launcher.settings import TEAM_LIBRARY
from tests.plugins.harness import PLUGINS, NodeRed
from tests.support import built_stack, eventually
from tests.web_box import WebBox, web_box

pytestmark = pytest.mark.real
NODES = [{"id": "a", "type": "inject", "name": "every hour"}]


class Address(Struct):
    """Where the appliance answers: all that the harness needs of one."""

    url: str


class Editor:
    """The library routes of one editor."""

    def __init__(self, red: NodeRed) -> None:
        self.said = red.said
        self._url = f"{red.url}/library/{TEAM_LIBRARY['id']}"

    async def get(self, path: str) -> tuple[int, Any]:
        async with aiohttp.ClientSession() as http, http.get(f"{self._url}/{path}") as answer:
            is_json = answer.content_type == "application/json"
            return answer.status, await answer.json() if is_json else await answer.text()

    async def post(self, path: str, body: object) -> tuple[int, str]:
        async with aiohttp.ClientSession() as http, http.post(f"{self._url}/{path}", json=body) as answer:
            return answer.status, await answer.text()


@pytest.fixture
async def box(home: Path) -> AsyncIterator[WebBox]:
    async with web_box(home) as made:
        yield made


async def _editor(box: WebBox, folder: Path, instance: Any, stack: AsyncExitStack) -> Editor:
    grant = await box.boot(instance)
    settings = {"editorTheme": {"library": {"sources": [TEAM_LIBRARY]}}, "nodesDir": [str(PLUGINS / "library")]}
    address: Any = Address(f"http://127.0.0.1:{box.port}")
    red = await stack.enter_async_context(NodeRed(folder, address, built_stack(), **settings))
    red.extra_boot = {"instanceId": instance.id, "teamID": grant.team_id, "nodeRedToken": grant.node_red_token}
    # Who may open the editor is proven elsewhere.
    file = folder / "settings.js"
    text = file.read_text()
    file.write_text("".join(line for line in text.splitlines(keepends=True) if "adminAuth" not in line))
    await red.up()
    return Editor(red)


async def _foreign(box: WebBox) -> Any:
    admin = await box.services.accounts.root()
    team_id = await box.services.directory.teams.create(admin, CreateTeam(name="Other", type=""))
    made = await box.services.teams.create_application(admin, CreateApplication(name="theirs", team_id=team_id))
    return await box.services.instances.create(admin, CreateInstance(name="theirs", application_id=made.id))


async def test_what_one_editor_saves_the_team_reads_and_nobody_else(box: WebBox, tmp_path: Path) -> None:
    instances = [await box.instance("one"), await box.instance("two"), await _foreign(box)]
    async with AsyncExitStack() as stack:
        one, two, other = await asyncio.gather(
            *(_editor(box, tmp_path / "red" / str(number), each, stack) for number, each in enumerate(instances))
        )
        assert (await one.post("flows/line/pump", NODES))[0] == 204
        nasty = quote("50% _ü_ 🏭'\".js")
        assert (await one.post(f"functions/{nasty}", {"text": "return msg; // & more", "outputs": 2}))[0] == 204
        assert await two.get("flows/line/pump") == (200, NODES)
        assert await two.get(f"functions/{nasty}") == (200, "return msg; // & more")
        assert (await two.get("flows/"))[1] == ["line"]
        (listed,) = (await two.get("functions/"))[1]
        assert (listed["fn"], listed["outputs"]) == ("50% _ü_ 🏭'\".js", 2)
        # Node-RED keeps the reason from the editor, but not from the log.
        assert (await two.post("flows/line", NODES))[0] == 400
        await eventually(lambda: two.said("'line' is a folder"))
        assert await other.get("flows/line/pump") == (200, [])
        assert (await other.get("functions/"))[1] == []
