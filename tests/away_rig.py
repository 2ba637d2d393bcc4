"""A real Node-RED with our plugins on the real store of an appliance that goes away, freezes and comes back."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from appliance.model import StackRef
from appliance.schema.deploys import KeptDeploy
from appliance.schema.instances import Instance
from tests.plugins.harness import PLUGINS, NodeRed
from tests.support import eventually
from tests.web_box import WebBox, web_box

# As in production but without the login: who deploys is not what is tested here.
SETTINGS = """
const plugins = %(plugins)s;
const use = (name) => require(plugins + "/" + name + ".js");
module.exports = {
  flowFile: "flows.json", uiHost: "127.0.0.1", runtimeState: { enabled: true },
  storageModule: use("storage"),
  credentialSecret: use("boot").boot().credentialSecret,
  logging: { console: { level: "info", metrics: false, audit: false, handler: use("logger").handler } },
};
"""


class Frozen:
    """Listens on a port and answers nothing, as a stopped process does."""

    def __init__(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", port), backlog=511)

    def close(self) -> None:
        self._listener.close()


class Away:
    """One instance of a box. `node_red` is started by the test; `files` is where its plugins keep things."""

    def __init__(self, box: WebBox, instance: Instance, folder: Path, stack: StackRef) -> None:
        self.box = box
        self.id = instance.id
        self.files = folder / "launcher" / "away"
        self.files.mkdir(parents=True)
        self.node_red = NodeRed(folder, _Url(f"http://127.0.0.1:{box.port}"), stack)  # type: ignore[arg-type]
        (folder / "settings.js").write_text(SETTINGS % {"plugins": json.dumps(str(PLUGINS))})
        self._instance = instance
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(60))

    async def up(self) -> None:
        """Boot as a new launcher would, start Node-RED, wait until it serves."""
        await self.boot()
        await self.node_red.up(60)

    async def boot(self) -> Any:
        grant = await self.box.boot(self._instance)
        self.node_red.extra_boot = {
            "instanceId": self.id,
            "teamID": grant.team_id,
            "nodeRedToken": grant.node_red_token,
            "clientID": grant.client_id,
            "clientSecret": grant.client_secret,
            "credentialSecret": grant.credential_secret,
            "storage": {"directory": str(self.files)},
        }
        return grant

    async def deploy(
        self, *nodes: dict[str, Any], rev: str | None = None, credentials: dict[str, Any] | None = None
    ) -> tuple[int, Any]:
        """What the editor's button does; status and answer."""
        body: dict[str, Any] = {"flows": list(nodes)}
        body |= {} if rev is None else {"rev": rev}
        body |= {} if credentials is None else {"credentials": credentials}
        headers = {"Node-RED-API-Version": "v2"}
        async with self._http.post(f"{self.node_red.url}/flows", json=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def running(self) -> dict[str, Any]:
        """What Node-RED runs now: `flows` and `rev`."""
        headers = {"Node-RED-API-Version": "v2"}
        async with self._http.get(f"{self.node_red.url}/flows", headers=headers) as answer:
            return await answer.json()

    async def stored(self, kind: str = "flows") -> Any:
        """What the platform has."""
        return json.loads(await self.box.services.storage.get(self.id, kind) or b"null")

    async def put(self, flows: list[dict[str, Any]]) -> None:
        """A rollback or an import, at the platform."""
        await self.box.services.storage.put(self.id, "flows", json.dumps(flows).encode())

    async def until_stored(self, *nodes: dict[str, Any], timeout_s: float = 30) -> None:
        async def there() -> bool:
            return await self.stored() == list(nodes) and not self.unsent

        await eventually(there, timeout_s, what=f"stored: {nodes}")

    async def until_running(self, *nodes: dict[str, Any], timeout_s: float = 30) -> None:
        async def there() -> bool:
            return (await self.running())["flows"] == list(nodes)

        await eventually(there, timeout_s, what=f"running: {nodes}")

    async def kept(self) -> list[KeptDeploy]:
        return (await self.box.services.deploys.list(self.id)).kept

    @property
    def unsent(self) -> bool:
        return (self.files / "deploy.json").exists()

    async def close(self) -> None:
        await self._http.close()
        await self.node_red.__aexit__()


class _Url:
    def __init__(self, url: str) -> None:
        self.url = url


@asynccontextmanager
async def away(home: Path, stack: StackRef) -> AsyncIterator[Away]:
    """A box with one instance, not yet started."""
    async with web_box(home) as box:
        rig = Away(box, await box.instance("line-1"), home / "red", stack)
        try:
            yield rig
        finally:
            await rig.close()


def tab(label: str) -> dict[str, Any]:
    """A flow that does nothing but have a name."""
    return {"id": "tab", "type": "tab", "label": label, "disabled": False, "info": ""}
