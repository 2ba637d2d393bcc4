"""What there is of static files, uploads and stores of context (instance protocol L22, L23, L27): the settings document
may ask for them as it does of FlowFuse's launcher. It opens nothing here, and what is not kept is not said to be."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import psutil
import pytest

from launcher.web import BODY_BYTES
from tests.integration.test_launcher_node_red import flow
from tests.launcher_rig import Rig, rig
from tests.support import built_stack, eventually

pytestmark = pytest.mark.real
SECRET = "of a neighbour"
# The store of a flow's context, as seen by two runs of it.
REMEMBERS = """
  const before = global.get("n");
  global.set("n", 1);
  node.warn(`n was ${before}`);
  for (const store of ["persistent", "file"]) {
    try { global.set("n", 1, store); } catch (error) { node.warn(`${store}: ${error.code}`); }
  }"""


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path, built_stack()) as made:
        storage = made.directory / "storage"
        for place in (storage / "public", storage.with_name("storage-other"), made.directory.parent / "neighbour"):
            place.mkdir(parents=True)
            (place / "index.html").write_text(SECRET)
        made.appliance.settings["settings"]["httpStatic"] = [
            {"path": "/public", "root": "public"},
            {"path": "/sibling", "root": "../storage-other"},
            {"path": "/neighbour", "root": str(made.directory.parent / "neighbour")},
            {"path": "/all", "root": str(made.directory)},
        ]
        made.appliance.settings["fileStore"] = {"url": "http://127.0.0.1:1"}
        yield made


async def asked(port: int, target: str) -> bytes:
    """The answer to a path as it is: clients would tidy it up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    return answer


async def test_no_folder_is_served_whatever_the_settings_say(box: Rig) -> None:
    """L22: `../storage-other` passed for a part of `storage`; L23: the launcher's log was among the files."""
    await box.start()
    await box.until("running")
    assert "httpStatic" not in (box.directory / "settings.js").read_text()
    up = ("../storage-other/", "..%2fstorage-other%2f", "%2e%2e/storage-other/", "..\\storage-other\\")
    ways = [f"/{place}/{name}index.html" for place in ("public", "sibling", "neighbour", "all") for name in ("", *up)]
    for target in [*ways, "/all/launcher/logs/", "/launcher/settings.json", "/all/settings.js", "//etc/passwd"]:
        answer = await asked(box.node_red_port, target)
        assert answer.split()[1] in (b"404", b"403", b"400"), target
        assert SECRET.encode() not in answer, target


async def test_there_is_no_way_to_files_by_the_launcher_and_a_large_body_is_no_load(box: Rig) -> None:
    """L23: uploads of any size were held in memory, and the log could be deleted."""
    await box.start()
    info = await box.until("running")
    files = f"{box.url}/files/_"
    before = psutil.Process(info["pid"]).memory_info().rss
    for method in ("GET", "PUT", "DELETE", "POST"):
        for path in ("", "/public", "/..%2Flauncher%2Flogs", "/..%2Fstorage-other"):
            async with box.http.request(method, files + path, json={"path": "x"}) as answer:
                assert answer.status == 404, (method, path)
    for _ in range(3):
        form = aiohttp.FormData()
        form.add_field("file", io.BytesIO(b"x" * (50 << 20)), filename="large")
        try:
            async with box.http.post(f"{files}/public", data=form) as answer:
                assert answer.status == 413
        except aiohttp.ClientConnectionError:
            pass  # it was refused, and hung up on, in the middle
    grown = psutil.Process(info["pid"]).memory_info().rss - before
    assert grown < 20 * BODY_BYTES, f"{grown} bytes of 150 MB were kept"
    assert sorted(path.name for path in (box.directory / "storage").iterdir()) == ["public"]
    assert await box.said("Launcher version"), "the log is still there"


async def test_context_is_in_memory_and_nothing_says_otherwise(box: Rig) -> None:
    """L27: a store called persistent lost up to 30 s of values with the power. There is none here yet: a flow that asks
    for it is told so, instead of losing what it thinks is kept."""
    box.appliance.flows = flow(REMEMBERS)
    await box.start()
    first = await box.until("running")
    await eventually(lambda: box.said("n was undefined"), 20)
    said = [str(entry["msg"]) for entry in await box.logs()]
    assert [line for line in said if "Context store" in line] == ["Context store  : 'default' [module=memory]"]
    assert "contextStorage" not in (box.directory / "settings.js").read_text()
    for store in ("persistent", "file"):
        # Node-RED falls back to memory, and says so once for each name.
        assert any(store in line and "nknown context store" in line for line in said), said
    await box.command("restart")

    async def again() -> bool:
        return [str(entry["msg"]) for entry in await box.logs()].count("n was undefined") == 2

    await eventually(again, 30)
    assert (await box.until("running"))["nodeRedPid"] != first["nodeRedPid"]
