"""What a real Node-RED takes: samples, their streams, and what a flow can and cannot say about itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from tests.integration.test_launcher_node_red import flow
from tests.launcher_rig import Rig, rig
from tests.support import built_stack, eventually

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]
BUSY = "const end = Date.now() + 700; while (Date.now() < end) {} return msg;"
FIELDS = {"src", "ts", "ps", "cpu", "ela", "el99", "nrmsgs", "nrrecv", "nrsend", "heap", "heapLimit"}
# What looks like the launcher's own figures, and more. The channel is open to whoever looks for it.
LIES = {"ela": 0, "el99": 0, "nrmsgs": 7, "nrrecv": 7, "nrsend": 7, "heap": 1, "heapLimit": 2, "cpu": 0, "ps": 1}
FLOOD = """
  const lies = %s;
  for (let i = 0; i < 500; i++) {
    for (const value of [lies, { ...lies, ela: 1e300 }, null, 7, [[[]]]]) {
      try { fs.writeSync(4, JSON.stringify({ event: "metrics", value }) + "\\n"); } catch { /* full */ }
    }
  }
  return msg;"""


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path, built_stack()) as made:
        yield made


async def history(box: Rig, **query: str) -> list[dict[str, Any]]:
    async with box.http.get(box.url + "/resources", params=query) as answer:
        assert answer.status == 200, await answer.text()
        document = await answer.json()
    assert set(document) == {"meta", "resources", "count"} and document["count"] == len(document["resources"])
    return list(document["resources"])


async def samples(box: Rig, count: int) -> list[dict[str, Any]]:
    async def enough() -> list[dict[str, Any]] | None:
        found = await history(box)
        return found if len(found) >= count else None

    return await eventually(enough, 120, 0.5, what=f"{count} samples") or []


def resident_mb(info: dict[str, Any]) -> float:
    return float(psutil.Process(info["nodeRedPid"]).memory_info().rss / 2**20)


async def test_a_busy_flow_is_seen_in_all_figures_and_in_every_stream(box: Rig) -> None:
    box.appliance.flows = flow(BUSY, repeat="1")
    await box.start()
    info = await box.until("running")
    await only_for_who_has_the_secret(box)
    socket = await box.http.ws_connect(box.url + "/resources")
    first = (await samples(box, 1))[0]
    events = asyncio.create_task(streamed(box, 2, since=str(first["ts"] - 1)))
    frame = json.loads((await socket.receive(timeout=60)).data)
    await socket.ping()
    assert await socket.close()
    found = await samples(box, 3)
    last = found[-1]
    assert set(last) == FIELDS
    assert 20 < last["cpu"] < 250, "seven tenths of a core, and what a busy machine takes from it"
    assert last["ps"] == pytest.approx(resident_mb(info), rel=0.3)
    assert last["el99"] > 0.3 and last["ela"] > 0.01
    assert last["nrrecv"] > found[-2]["nrrecv"] > 0 and last["nrsend"] > 0
    assert last["heap"] < last["heapLimit"] and 300 <= last["heapLimit"] < 450, "--memory-mb 300 and V8's young space"
    assert frame == first
    assert await asyncio.wait_for(events, 60) == found[:2], "first what was missed, then what comes"
    reports = await eventually(lambda: box.appliance.resources)
    assert reports[0]["sample"] == first and reports[0]["peakMb"] >= first["ps"] - 0.1
    assert await history(box, limit="1") == (await history(box))[-1:]
    assert (await history(box, since=str(first["ts"])))[0] == found[1]


async def only_for_who_has_the_secret(box: Rig) -> None:
    """And nothing on Node-RED's own port (instance protocol L28)."""
    async with aiohttp.ClientSession() as stranger:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await stranger.ws_connect(box.url + "/resources")
        assert refused.value.status == 401
        for path in ("/resources", "/resources/stream"):
            async with stranger.get(box.url + path) as answer:
                assert answer.status == 401
        for path in ("/ff/metrics", "/metrics", "/flowforge/resources"):
            async with stranger.get(f"http://127.0.0.1:{box.node_red_port}{path}") as answer:
                assert answer.status == 404, path
    headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
    async with box.http.get(box.url + "/resources", headers=headers) as answer:
        assert answer.status == 400
    async with box.http.get(box.url + "/resources", params={"since": "yesterday"}) as answer:
        assert answer.status == 400


async def test_a_flow_can_lie_about_its_heap_and_never_about_the_machine(box: Rig) -> None:
    box.appliance.flows = flow(FLOOD % json.dumps(LIES), repeat="0.5")
    box.appliance.flows[-1]["libs"] = [{"var": "fs", "module": "fs"}]
    await box.start()
    info = await box.until("running")
    launcher = psutil.Process(info["pid"])
    last = (await samples(box, 1))[-1]
    assert last["nrmsgs"] == 7, "the lies arrive"
    assert last["ps"] == pytest.approx(resident_mb(info), rel=0.3), "memory is the kernel's word"
    assert last["cpu"] > 1, "so is the processor"
    before = launcher.memory_info().rss
    await samples(box, 3)
    assert launcher.memory_info().rss < before + 4 * 2**20, "a flood piles up nowhere"
    # Down there is nothing to measure (instance protocol L25); what was measured stays.
    assert await box.command("stop") == 200
    await box.until("stopped")
    box.appliance.flows = []
    standing = await history(box)
    assert await box.command("start") == 200
    await box.until("running")
    after = await samples(box, len(standing) + 1)
    assert after[: len(standing)] == standing
    assert all(0 <= sample["cpu"] < 400 and "err" not in sample for sample in after)


async def streamed(box: Rig, count: int, **query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    async with box.http.get(box.url + "/resources/stream", params=query) as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        async for raw in answer.content:
            if raw.startswith(b"data: "):
                found.append(json.loads(raw[6:]))
            if len(found) == count:
                break
    return found
