"""A whole box whose appliance is stopped or killed while people deploy in the editor (instance protocol L26)."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.away_rig import tab
from tests.support import eventually, stack_cache
from tests.system.box import Box, editor_token

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(300),
    # httpcore leaves a UNIX socket to the collector when nobody listens at its other end.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]
ANSWER_S = 15.0  # on a busy machine; alone it is three seconds


class Editor:
    """A person at the editor of the box's first instance."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._id = box.instance("first")["id"]
        self._url = box.instance_url("first").rstrip("/")
        token = editor_token(box.url.rstrip("/"), self._url, "admin", box.password)
        headers = {"Authorization": f"Bearer {token}", "Node-RED-API-Version": "v2"}
        self.http = httpx.Client(verify=False, headers=headers, timeout=60)

    def deploy(self, label: str) -> float:
        """Seconds until the editor had its answer."""
        began = time.monotonic()
        answer = self.http.post(f"{self._url}/flows", json={"flows": [tab(label)]})
        assert answer.status_code == 200, answer.text
        return time.monotonic() - began

    def stored(self) -> list[str]:
        with self._box.api() as api:
            return [node["label"] for node in api.get("/instances/first/flows").json()["flows"]]

    def kept(self) -> int:
        with self._box.api() as api:
            return int(api.get(f"/projects/{self._id}/kept").json()["count"])


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    box = Box(tmp_path / "h", stack_cache())
    try:
        yield box
    finally:
        box.down()


async def test_deploys_outlast_an_appliance_that_is_stopped_and_one_that_is_killed(box: Box) -> None:
    box.up()
    await eventually(lambda: _runs(box), 90, every_s=0.2)
    editor = Editor(box)
    with editor.http:
        await _faults(box, editor)


async def _faults(box: Box, editor: Editor) -> None:
    editor.deploy("first")
    assert editor.stored() == ["first"]
    appliance = psutil.Process(box.status()["appliance"]["pid"])
    appliance.suspend()
    try:
        # The request of the first is in the socket of the stopped process: it is carried out late, or not at all.
        assert max(editor.deploy("second"), editor.deploy("third")) < ANSWER_S
    finally:
        appliance.resume()
    await eventually(lambda: editor.stored() == ["third"], 60, every_s=0.2)
    os.kill(appliance.pid, signal.SIGKILL)
    appliance.wait(20)
    assert editor.deploy("fourth") < ANSWER_S
    box.up()
    await eventually(lambda: editor.stored() == ["fourth"], 60, every_s=0.2)
    assert editor.kept() == 0
    problems: list[dict[str, Any]] = box.status()["problems"]
    assert not [each for each in problems if each["key"].startswith("deploy_kept")]
    assert box.cli("instance", "kept", "first").stdout.startswith("Nothing is kept of first")


def _runs(box: Box) -> bool:
    return [each["state"] for each in box.status()["instances"]] == ["running"]
