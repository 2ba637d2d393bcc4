"""What follows a crash: at once, after a while, in safe mode or not at all; and what is said of it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_launcher_node_red import alive, flow, page
from tests.integration.test_launcher_successor import knocking, node_reds, renewed, successor
from tests.launcher_rig import Rig, rig
from tests.support import built_stack, eventually

pytestmark = pytest.mark.real


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path, built_stack()) as made:
        yield made


def crashes(box: Rig) -> list[dict[str, Any]]:
    return [report for report in box.appliance.states if report["state"] == "crashed"]


async def test_a_kill_is_made_good_at_once_and_only_begun_requests_fail(box: Rig) -> None:
    box.appliance.flows = page("/here")
    await box.start()
    first = await box.until("running")
    async with knocking(box, "/here") as answers:
        await eventually(lambda: len(answers) > 20)
        os.kill(first["nodeRedPid"], signal.SIGKILL)
        await renewed(box, first["nodeRedPid"])
        count = len(answers)
        await eventually(lambda: len(answers) > count + 20)
    failed = [status for status, _ in answers if status != 204]
    assert len(failed) <= 4 and set(failed) <= {-1}, "one request in flight for each of four clients"
    report = crashes(box)[0]
    assert report["holding"] and report["reason"] == "killed"
    due = datetime.fromisoformat(report["nextTryAt"]) - datetime.fromisoformat(report["at"])
    assert abs(due.total_seconds()) < 0.1


async def test_the_second_crash_in_a_row_waits_and_says_how_long(box: Rig) -> None:
    await box.start()
    info = await box.until("running")
    for _ in range(3):
        os.kill(info["nodeRedPid"], signal.SIGKILL)
        info = await renewed(box, info["nodeRedPid"])
    await eventually(lambda: len(crashes(box)) == 3)
    waits = [datetime.fromisoformat(r["nextTryAt"]) - datetime.fromisoformat(r["at"]) for r in crashes(box)]
    seconds = [wait.total_seconds() for wait in waits]
    assert abs(seconds[0]) < 0.1 and -0.1 < seconds[1] <= box.pace and -0.1 < seconds[2] <= 2 * box.pace
    assert info["nextTryAt"] is None


async def test_a_spare_takes_over_and_another_one_follows_it(box: Rig) -> None:
    box.appliance.flows = page("/here")
    box.appliance.settings["weir"]["hotSpare"] = True
    await box.start()
    first = await box.until("running")
    spare = await successor(box, first["nodeRedPid"])
    async with knocking(box, "/here") as answers:
        await eventually(lambda: len(answers) > 20)
        os.kill(first["nodeRedPid"], signal.SIGKILL)
        second = await renewed(box, first["nodeRedPid"])
        count = len(answers)
        await eventually(lambda: len(answers) > count + 20)
    assert second["nodeRedPid"] == spare and sum(status != 204 for status, _ in answers) <= 4
    next_spare = await successor(box, spare)
    await box.command("stop")
    await box.until("stopped")
    assert not alive(next_spare) and not alive(spare)


async def test_the_spare_ends_with_the_launcher(box: Rig) -> None:
    box.appliance.settings["weir"]["hotSpare"] = True
    await box.start()
    first = await box.until("running")
    spare = await successor(box, first["nodeRedPid"])
    assert await box.stop() == 0
    assert not alive(spare) and not alive(first["nodeRedPid"])


async def test_policy_stop_ends_a_loop_for_good_until_somebody_starts_it(box: Rig) -> None:
    box.pace = 0.05
    box.appliance.settings["weir"]["crashPolicy"] = "stop"
    box.appliance.flows = flow("process.exit(7)")
    await box.start()
    await eventually(lambda: crashes(box) and crashes(box)[-1]["reason"] == "crash_loop", 90)
    info = await box.info()
    assert info["state"] == "crashed" and "5 crashes in a row" in info["message"] and info["nextTryAt"] is None
    assert len(box.appliance.seen("crashed")) == 5 and node_reds(box) == []
    box.appliance.flows = page("/repaired")
    await box.command("start", generation=8)
    assert (await box.until("running", timeout_s=60))["commandGeneration"] == 8


@pytest.mark.timeout(150)
async def test_policy_stop_leaves_no_spare_that_holds_the_port(box: Rig) -> None:
    # A crash counts for the loop while its run was shorter than 60 s at this pace; the last one waits for a spare.
    box.pace = 0.25
    box.appliance.settings["weir"] |= {"crashPolicy": "stop", "hotSpare": True}
    box.appliance.flows = page("/here")
    await box.start()
    for crash in range(5):
        serving = (await box.until("running", timeout_s=60))["nodeRedPid"]
        if crash == 4:
            await successor(box, serving)
        os.kill(serving, signal.SIGKILL)
        await eventually(lambda gone=serving: not alive(gone))
    await eventually(lambda: crashes(box)[-1]["reason"] == "crash_loop", 60)
    await eventually(lambda: node_reds(box) == [])
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", box.node_red_port)


async def test_policy_retry_never_stops_the_flows(box: Rig) -> None:
    box.pace = 0.05
    box.appliance.settings["weir"]["crashPolicy"] = "retry"
    box.appliance.flows = flow("process.exit(7)")
    await box.start()
    await eventually(lambda: len(box.appliance.seen("crashed")) >= 6, 120)
    assert "safe" not in box.appliance.words()


async def test_missing_types_are_a_reason_and_end_with_their_installation(box: Rig) -> None:
    box.appliance.flows = [*page("/here"), {"id": "x", "z": "t1", "type": "no-such-node", "wires": []}]
    await box.start()
    info = await box.until("running")
    assert info["reason"] == "missing_types" and "no-such-node" in info["message"]
    async with box.http.get(f"http://127.0.0.1:{box.node_red_port}/flows") as answer:
        assert answer.status == 401
    assert [r["reason"] for r in box.appliance.states if r["state"] == "running"] == ["missing_types"]


async def test_a_heap_that_is_full_is_told_apart(box: Rig) -> None:
    box.appliance.flows = flow("const all = []; for (;;) { all.push(new Array(100000).fill(Math.random())); }")
    await box.start()
    await eventually(lambda: bool(crashes(box)), 60)
    assert crashes(box)[0]["reason"] == "out_of_memory", crashes(box)[0]


async def test_nothing_that_the_flows_started_outlives_them(box: Rig) -> None:
    """A daemon in a session of its own is out of reach of a signal to the group."""
    note = box.directory.parent / "pids"
    code = (
        "for (const script of ['sleep 300', 'setsid sleep 300 & sleep 300'])"
        " { const child = cp.spawn('sh', ['-c', `echo $$ >> ${file}; ` + script], {detached: true, stdio: 'ignore'});"
        " child.unref(); }"
    )
    flows = flow(f"const file = {json.dumps(str(note))}; {code}")
    flows[2]["libs"].append({"var": "cp", "module": "child_process"})
    box.appliance.flows = flows
    await box.start()
    first = await box.until("running")
    await eventually(lambda: note.exists() and len(note.read_text().split()) == 2, 20)
    left = await eventually(lambda: len(sleepers()) >= 3 and sleepers(), 20)
    os.kill(first["nodeRedPid"], signal.SIGKILL)
    await eventually(lambda: box.said("had left behind"), 20)
    assert not [pid for pid in left if alive(pid)]
    assert not [pid for pid in map(int, note.read_text().split()[:2]) if alive(pid)]


async def test_after_a_sudden_death_of_the_launcher_nothing_of_the_old_tree_is_left(box: Rig) -> None:
    before = set(sleepers())
    flows = flow("cp.spawn('setsid', ['sleep', '300'], {detached: true, stdio: 'ignore'}).unref();")
    flows[2]["libs"].append({"var": "cp", "module": "child_process"})
    box.appliance.flows = flows
    await box.start()
    first = await box.until("running")
    left = await eventually(lambda: set(sleepers()) - before, 20)
    os.kill(box.pid, signal.SIGKILL)
    assert box.process is not None
    await box.process.wait()
    box.appliance.flows = page("/here")
    box.appliance.tickets.add("ticket-1")
    await box.start()
    second = await box.until("running", timeout_s=60)
    assert second["nodeRedPid"] != first["nodeRedPid"]
    # Reaped by init, which may take its time.
    await eventually(lambda: not [pid for pid in (first["nodeRedPid"], *left) if alive(pid)], 20)


def sleepers() -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cmdline").read_bytes() == b"sleep\x00300\x00":
                found.append(int(entry.name))
        except OSError:
            continue
    return found


async def test_a_frozen_launcher_holds_up_no_flow_and_what_it_did_not_read_is_counted(box: Rig) -> None:
    beat = box.directory.parent / "beat"
    flood = "if (!context.get('said')) { for (let i = 0; i < 3000; i++) node.warn('x'.repeat(4000)) }"
    flood += " context.set('said', 1)"
    go = box.directory.parent / "go"
    flows = flow(f"if (fs.existsSync({str(go)!r})) {{ {flood}; fs.writeFileSync({str(beat)!r}, 'on') }}", repeat="0.2")
    flows[2]["libs"].append({"var": "fs", "module": "fs"})
    box.appliance.flows = flows
    await box.start()
    info = await box.until("running")
    os.kill(box.pid, signal.SIGSTOP)
    try:
        go.touch()
        await eventually(beat.exists, 20, what="the flow goes on after it has written 12 MB")
        seen = time.time()
        await eventually(lambda: beat.stat().st_mtime > seen + 0.5, 20)
    finally:
        os.kill(box.pid, signal.SIGCONT)
    await eventually(lambda: box.said("messages were dropped"), 20)
    assert (await box.info())["nodeRedPid"] == info["nodeRedPid"]


async def test_a_loop_that_computes_is_left_alone_longer_than_one_that_sleeps(box: Rig) -> None:
    box.appliance.settings["healthCheckInterval"] = 1001  # a probe each half second, which waits as long
    box.pace = 0.5
    box.appliance.flows = flow(
        "setTimeout(() => { const end = Date.now() + 5000; while (Date.now() < end) {} node.warn('done') }, 1000)"
    )
    await box.start()
    await eventually(lambda: box.said("done"), 60)
    assert not crashes(box), "five silent seconds at work are not three silent probes"
    os.kill((await box.info())["nodeRedPid"], signal.SIGSTOP)
    await eventually(lambda: bool(crashes(box)), 30)
    assert crashes(box)[0]["reason"] == "hung" and "by a computation" not in crashes(box)[0]["message"]
