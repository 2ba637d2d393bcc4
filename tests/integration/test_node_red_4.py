"""Node-RED 4.1 beside 5 on one box: an instance goes from one to the other and back, with its flows and variables."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import eventually, other_stack, stack_cache
from tests.system.box import Box, editor_token

pytestmark = [pytest.mark.real, pytest.mark.timeout(420)]
SECRET = "s3cret-of-the-plant"


def flows(path: str) -> list[dict[str, Any]]:
    """A page that says what a hidden variable holds."""
    return [
        {"id": "t", "type": "tab", "label": path},
        {"id": "in", "type": "http in", "z": "t", "url": f"/{path}", "method": "get", "wires": [["fn"]]},
        {"id": "fn", "type": "function", "z": "t", "func": _FUNCTION, "outputs": 1, "wires": [["out"]]},
        {"id": "out", "type": "http response", "z": "t", "wires": []},
    ]


_FUNCTION = 'msg.payload = env.get("KEY") + " " + env.get("A") + " " + env.get("FF_INSTANCE_NAME"); return msg;'


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    """A box with both stacks, in a directory of its own: one of them is taken away in the test."""
    five, four = stack_cache(), other_stack("node-red-4")
    shelf = tmp_path / "h" / "stacks"
    shelf.mkdir(parents=True)
    (shelf / "node-red-5").symlink_to(five / "stacks" / "node-red-5")
    (shelf / "node-red-4").symlink_to(four / "stacks" / "node-red-4")
    box = Box(tmp_path / "h", five)
    try:
        yield box
    finally:
        box.down()


async def runs(box: Box, version: str) -> None:
    """Wait until the instance runs on this Node-RED."""

    def check() -> bool:
        meta = box.instance("first")["meta"]
        assert meta["state"] == "running" and meta["versions"].get("node-red", "").startswith(version), meta
        return True

    await eventually(check, 120, every_s=0.3)


class Editor:
    """A person in the editor of the instance."""

    def __init__(self, box: Box) -> None:
        self.url = box.instance_url("first").rstrip("/")
        token = editor_token(box.url.rstrip("/"), self.url, "admin", box.password)
        headers = {"Authorization": f"Bearer {token}", "Node-RED-API-Version": "v2"}
        context = ssl.create_default_context(cafile=box.ca)
        self.http = httpx.Client(verify=context, headers=headers, timeout=30)

    def __enter__(self) -> Editor:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def deploy(self, path: str) -> None:
        answer = self.http.post(f"{self.url}/flows", json={"flows": flows(path)})
        assert answer.status_code == 200, answer.text

    def labels(self) -> list[str]:
        found = self.http.get(f"{self.url}/flows").json()["flows"]
        return [node["label"] for node in found if node["type"] == "tab"]

    def text(self, path: str) -> str:
        answer = self.http.get(f"{self.url}/{path}")
        assert answer.status_code == 200, answer.text
        return answer.text


async def test_an_instance_goes_to_node_red_4_and_back(box: Box) -> None:
    box.up()
    await runs(box, "5.")
    assert {each["name"] for each in box.json("stack", "list")["stacks"] if each["built"]} == {
        "node-red-5",
        "node-red-4",
    }
    box.cli("env", "set", "first", "A=1")
    with box.api() as api:
        variables = [{"name": "KEY", "value": SECRET, "hidden": True}, {"name": "A", "value": "1"}]
        identity = box.instance("first")["id"]
        assert api.put(f"/projects/{identity}", json={"settings": {"env": variables}}).status_code == 200
    with Editor(box) as editor:
        editor.deploy("five")
    assert "placed anew" in box.cli("instance", "set", "first", "stack=node-red-4").stdout
    await runs(box, "4.1.")
    with Editor(box) as editor:
        assert "red.min.js" in editor.text("") and editor.labels() == ["five"]
        assert editor.text("five") == f"{SECRET} 1 first"
        editor.deploy("four")  # acknowledged when it is stored, before the new flows run
        await eventually(lambda: editor.text("four") == f"{SECRET} 1 first", 30)
    events = [entry["event"] for entry in box.json("audit", "first")["log"]]
    assert {"flows.set", "auth.login", "project.stack.changed"} <= set(events), events
    assert SECRET not in box.cli("instance", "logs", "first", "-n", "500").stdout
    box.cli("instance", "set", "first", "stack=node-red-5")
    await runs(box, "5.")
    with Editor(box) as editor:
        assert editor.labels() == ["four"] and editor.text("four") == f"{SECRET} 1 first"
    (box.home / "stacks" / "node-red-4").unlink()
    refused = box.cli("instance", "set", "first", "stack=node-red-4", check=False)
    assert refused.returncode == 1 and "weir stack build node-red-4" in refused.stderr
    assert box.instance("first")["stack"]["name"] == "node-red-5"
    used = box.cli("stack", "delete", "node-red-5", "--yes", check=False)
    assert used.returncode == 1 and (box.home / "stacks" / "node-red-5").exists()
