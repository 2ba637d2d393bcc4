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
        made.pace = 0.05  # a sample each half second, the "five minutes" of an alert are fifteen
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
    frames = [json.loads((await socket.receive(timeout=60)).data) for _ in range(3)]
    await socket.ping()
    assert await socket.close()
    found = await samples(box, 8)
    last = found[-1]
    assert set(last) == FIELDS
    assert 20 < sum(each["cpu"] for each in found) / len(found) < 250, "seven tenths of a core, on a busy machine"
    assert last["ps"] == pytest.approx(resident_mb(info), rel=0.3)
    assert max(each.get("el99", 0) for each in found) > 0.3 and max(each.get("ela", 0) for each in found) > 0.01
    assert last["nrrecv"] > next(each["nrrecv"] for each in found if each.get("nrrecv")) and last["nrsend"] > 0
    assert last["heap"] < last["heapLimit"] and 300 <= last["heapLimit"] < 450, "--memory-mb 300 and V8's young space"
    assert frames == found[(at := found.index(frames[0])) : at + 3], "each, as it comes"
    assert await asyncio.wait_for(events, 60) == found[:2], "first what was missed, then what comes"
    reports = await eventually(lambda: box.appliance.resources)
    assert reports[0]["sample"] == found[0] and reports[0]["peakMb"] >= first["ps"] - 0.1
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
    last = await eventually(lambda: believed(box), 30)
    assert last["ps"] == pytest.approx(resident_mb(info), rel=0.3), "memory is the kernel's word"
    assert last["cpu"] > 1, "so is the processor"
    before = launcher.memory_info().rss
    await samples(box, 12)
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


async def believed(box: Rig) -> dict[str, Any] | None:
    """The newest sample with what the flow says; by when it says more, Node-RED may have said the truth again."""
    found = [each for each in await history(box) if each.get("nrmsgs") == 7]
    return found[-1] if found else None


async def test_a_loop_that_is_late_for_long_raises_an_alarm_and_so_does_its_processor_time(box: Rig) -> None:
    box.pace = 0.03
    box.appliance.flows = flow(BUSY.replace("700", "1300"), repeat="0.1")
    await box.start()
    await box.until("running")
    lag = await eventually(lambda: box.appliance.seen("resource.lag"), 60)
    cpu = await eventually(lambda: box.appliance.seen("resource.cpu"), 60)
    assert len(lag) == 1 and lag[0]["average"] >= lag[0]["threshold"] == 1.0
    assert len(cpu) == 1 and cpu[0]["average"] >= cpu[0]["threshold"] == 75.0
    assert lag[0]["interval"] == cpu[0]["interval"] == round(300 * box.pace)
    assert {each["kind"] for each in (await told(box))["alerts"]} >= {"lag", "cpu"}


async def told(box: Rig) -> dict[str, Any]:
    """The newest report that has both in it."""
    return (
        await eventually(lambda: [one for one in box.appliance.resources if len(one["alerts"]) > 1][-1:], 20)
        and [one for one in box.appliance.resources if len(one["alerts"]) > 1][-1]
    )


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
