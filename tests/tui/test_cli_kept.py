"""`weir instance kept` as a process, against the real services on the box's socket."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import Raw

from appliance.schema.deploys import HandIn
from tests.support import ROOT
from tests.web_box import WebBox, web_box

MINE = [{"id": "1", "type": "tab", "label": "mine"}]


@pytest.fixture
async def box(home: Path) -> AsyncIterator[WebBox]:
    async with web_box(home) as box:
        yield box


async def weir(box: WebBox, *arguments: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "tui.cli.main", "--home", str(box.context.home.root), "instance", "kept"]
    process = await asyncio.create_subprocess_exec(
        *command, *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def keep(box: WebBox, instance_id: str, request: str = "r1") -> str:
    body = HandIn(
        id=request, at="2026-11-23T11:00:00Z", base=["another"], flows=Raw(json.dumps(MINE).encode()), keep=True
    )
    return (await box.services.deploys.hand_in(instance_id, body)).name


async def test_list_write_and_restore(box: WebBox, tmp_path: Path) -> None:
    instance = await box.instance("line-1")
    assert await weir(box, "line-1") == (0, "Nothing is kept of line-1: every deploy is stored.\n", "")
    name = await keep(box, instance.id)
    code, out, _ = await weir(box, "line-1")
    assert code == 0 and name in out and "changed meanwhile" in out
    listed = json.loads((await weir(box, "line-1", "--json"))[1])
    assert [each["name"] for each in listed["kept"]] == [name]
    file = tmp_path / "mine.json"
    assert (await weir(box, "line-1", name, "--out", str(file)))[0] == 0
    assert json.loads(file.read_text()) == MINE and file.stat().st_mode & 0o777 == 0o600
    assert json.loads((await weir(box, "line-1", listed["kept"][0]["id"]))[1]) == MINE
    code, out, _ = await weir(box, "line-1", name, "--restore")
    assert (code, out) == (0, f"line-1 gets the flows of {name}\n")
    assert json.loads(await box.services.storage.get(instance.id, "flows") or b"") == MINE
    assert box.pokes.count(instance.id) >= 2


async def test_discard_and_what_goes_wrong(box: WebBox, tmp_path: Path) -> None:
    instance = await box.instance("line-1")
    name = await keep(box, instance.id)
    for arguments, code, why in (
        (("line-1", "other", "--restore"), 1, f"There are: {name}."),
        (("line-1", "--restore"), 2, "which one?"),
        (("line-1", name, "--restore", "--discard"), 2, "at a time"),
        (("line-1", name, "--out", str(tmp_path)), 1, "cannot write"),
        (("nobody",), 1, "nobody"),
    ):
        done = await weir(box, *arguments)
        assert done[0] == code and why in done[2], (arguments, done)
    assert await weir(box, "line-1", name, "--discard") == (0, f"{name} is gone\n", "")
    assert (await box.services.deploys.list(instance.id)).count == 0
