"""The console of the real Node-RED through the launcher: floods, long lines, streams, full disks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_launcher_node_red import flow
from tests.launcher_rig import Rig, rig
from tests.support import built_stack, eventually

pytestmark = pytest.mark.real


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path, built_stack()) as made:
        yield made


async def read_events(box: Rig, count: int, **query: str) -> list[dict[str, Any]]:
    """The first `count` events of a stream, as {id, event, data}."""
    events: list[dict[str, Any]] = []
    async with box.http.get(box.url + "/logs/stream", params=query) as answer, asyncio.timeout(20):
        assert answer.headers["Content-Type"] == "text/event-stream"
        event: dict[str, Any] = {}
        async for raw in answer.content:
            line = raw.decode().rstrip("\n")
            if line.startswith(":"):
                continue
            if line:
                name, _, value = line.partition(": ")
                event[name] = value
            elif event:
                events.append(event)
                event = {}
                if len(events) == count:
                    break
    return events


async def test_pages_and_a_live_stream_that_resumes(box: Rig) -> None:
    box.appliance.flows = flow("node.warn('tick ' + (Date.now()))", repeat="0.1")
    await box.start()
    await box.until("running")
    live = await read_events(box, 3)
    assert all(event["event"] == "log" for event in live)
    entry = json.loads(live[-1]["data"])
    assert entry["ts"] == live[-1]["id"] and entry["level"] == "warn" and entry["id"] == "f1"
    resumed = await read_events(box, 3, cursor=live[0]["id"])
    assert [event["id"] for event in resumed] == [event["id"] for event in live], "from the cursor on, no gap"
    page = await box.entries(limit=5)
    assert len(page["logs"]) == 5
    before = await box.entries(cursor=page["meta"]["previous_cursor"], limit=5)
    assert before["logs"][-1]["ts"] < page["logs"][0]["ts"]
    after = await box.entries(cursor=page["meta"]["next_cursor"], limit=5)
    assert all(entry["ts"] > page["logs"][-1]["ts"] for entry in after["logs"])
    async with box.http.get(box.url + "/logs", params={"start": page["logs"][0]["ts"][:13]}) as answer:
        lines = [json.loads(line) for line in (await answer.text()).splitlines()]
    assert lines[0]["ts"] <= page["logs"][0]["ts"] and len(lines) >= 5


async def test_a_line_of_a_megabyte_and_a_flood_do_not_stop_it(box: Rig) -> None:
    code = "process.stdout.write('L' + 'x'.repeat(1 << 20) + '\\n');"
    code += "for (let i = 0; i < 60000; i++) console.log('flood ' + i);"
    # Again and again: on a slow box some of a flood is dropped, and one last line could be among it.
    box.appliance.flows = flow(code + "setInterval(() => node.log('over'), 300)")
    await box.start()
    await eventually(lambda: box.said("over"), 50)
    logs = await box.logs()
    assert len(logs) <= 1000 and (await box.state()) == "running"
    assert any(str(entry["msg"]).startswith("flood") for entry in logs)
    cursors = [entry["ts"] for entry in logs]
    assert cursors == sorted(set(cursors))
    await box.entries(cursor="0" * 17, limit=1)  # what is pending is on disk afterwards
    segments = sorted((box.directory / "launcher" / "logs").glob("*.ndjson"))
    cut = [line for path in segments for line in path.read_text().splitlines() if "bytes cut]" in line]
    assert len(cut) == 1 and len(cut[0]) < 20_000


async def test_a_slow_reader_is_told_what_it_lost(box: Rig) -> None:
    code = "for (let i = 0; i < 40; i++) console.log('f'.repeat(9000));"
    box.appliance.flows = flow(code, repeat="0.05")
    await box.start()
    await box.until("running")
    async with box.http.get(box.url + "/logs/stream") as answer:
        await asyncio.sleep(3)  # reads nothing meanwhile: that is the point
        async with asyncio.timeout(20):
            while not (line := await answer.content.readline()).startswith(b"event: dropped"):
                assert line
            assert json.loads((await answer.content.readline())[6:])["count"] > 0


async def test_entries_survive_a_restart_of_the_launcher_with_cursors_of_their_own(box: Rig) -> None:
    await box.start()
    await box.until("running")
    first = {entry["ts"] for entry in await box.logs()}
    assert await box.stop() == 0
    box.appliance.tickets.add("ticket-1")
    await box.start()
    await box.until("running")
    everything = (await box.entries(cursor="0" * 17, limit=500))["logs"]
    cursors = [entry["ts"] for entry in everything]
    assert first < set(cursors) and cursors == sorted(set(cursors))
    assert sum("Launcher version" in str(entry["msg"]) for entry in everything) == 2


async def test_a_disk_without_room_for_logs_does_not_stop_node_red(box: Rig) -> None:
    """No file may grow beyond 200 kB: as a full disk, the segments can't be written."""
    box.appliance.flows = flow("for (let i = 0; i < 300; i++) console.log('y'.repeat(1000))", repeat="0.2")
    await box.start(fsize=200_000)
    await box.until("running")
    await eventually(lambda: box.said("can't be written to disk"), 20)
    assert await box.state() == "running" and len(await box.logs()) > 100
