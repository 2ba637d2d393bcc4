"""Restarts beside a successor: nobody is refused, nobody waits long, and whatever goes wrong meanwhile."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.integration.test_launcher_node_red import alive, flow, page, proc
from tests.launcher_rig import SECRETS, Rig, rig
from tests.support import built_stack, eventually

pytestmark = pytest.mark.real


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path, built_stack()) as made:
        yield made


def node_reds(box: Rig) -> list[int]:
    """Processes that the launcher started to be a Node-RED."""
    children = proc(box.pid, f"task/{box.pid}/children").split()
    return [pid for pid in map(int, children) if re.search(rb"^node-red|/red\.js", cmdline(pid))]


def cmdline(pid: int) -> bytes:
    try:
        return proc(pid, "cmdline")
    except OSError:
        return b""


async def successor(box: Rig, beside: int) -> int:
    """The pid of a successor, once there is one."""
    return (await eventually(lambda: [pid for pid in node_reds(box) if pid != beside], 30))[0]


def blocked_on_its_channel(pid: int) -> bool:
    """It has loaded and sleeps in a read: its main thread waits for the socket."""
    try:
        asleep = proc(pid, "stat").rpartition(b")")[2].split()[0] == b"S"
        return asleep and proc(pid, "syscall").split()[:2] == [b"0", b"0x4"]
    except OSError:
        return False


@asynccontextmanager
async def knocking(box: Rig, path: str) -> AsyncIterator[list[tuple[int, float]]]:
    """Four clients at once, each connecting anew: (status or -1, seconds) of every request."""
    answers: list[tuple[int, float]] = []
    going = True

    async def knock() -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
            while going:
                began, status = time.monotonic(), -1
                try:
                    url = f"http://127.0.0.1:{box.node_red_port}{path}"
                    async with session.get(url, timeout=aiohttp.ClientTimeout(60)) as answer:
                        status = answer.status
                except aiohttp.ClientError:
                    pass
                answers.append((status, time.monotonic() - began))

    clients = [asyncio.create_task(knock()) for _ in range(4)]
    try:
        yield answers
    finally:
        going = False
        await asyncio.gather(*clients)


async def renewed(box: Rig, before: int, state: str = "running") -> dict[str, Any]:
    async def reached() -> bool:
        info = await box.info()
        return info["state"] == state and info["nodeRedPid"] not in (None, before) and info["reason"] != "restart"

    await eventually(reached, 60)
    return await box.info()


async def test_a_restart_under_load_fails_no_request(box: Rig) -> None:
    box.appliance.flows = page("/here")
    await box.start()
    first = await box.until("running")
    async with knocking(box, "/here") as answers:
        await eventually(lambda: len(answers) > 20)
        await box.command("restart", generation=2)
        second = await renewed(box, first["nodeRedPid"])
        count = len(answers)
        await eventually(lambda: len(answers) > count + 20)
    assert {status for status, _ in answers} == {204}, answers
    assert not alive(first["nodeRedPid"]) and second["commandGeneration"] == 2 and not second["holding"]
    assert node_reds(box) == [second["nodeRedPid"]]
    words = [(report["state"], report["reason"]) for report in box.appliance.states]
    assert words[3:] == [("running", "restart"), ("loading", "restart"), ("starting", ""), ("running", "")]
    assert [report["holding"] for report in box.appliance.states] == [False] * 4 + [True] * 2 + [False]


async def test_the_successor_is_the_process_that_a_plain_start_would_give(box: Rig) -> None:
    seen = "process.env, process.argv, process.execArgv, v8.getHeapStatistics().heap_size_limit"
    code = f"node.warn('env ' + JSON.stringify([{seen}]))"
    box.appliance.settings["env"]["PLANT"] = "one"
    box.appliance.settings["settings"]["timeZone"] = "Asia/Tokyo"
    box.appliance.flows = flow(code)
    await box.start()
    first = await box.until("running")
    await eventually(lambda: box.said("env ["), 20)
    await box.command("restart")
    await renewed(box, first["nodeRedPid"])

    async def said() -> list[str]:
        found = [str(entry["msg"]) for entry in await box.logs() if str(entry["msg"]).startswith("env [")]
        return found if len(found) == 2 else []

    plain, successor = await eventually(said, 20)
    assert plain == successor and "Asia/Tokyo" in plain and '"PLANT":"one"' in plain


async def test_settings_changed_since_reach_the_next_process(box: Rig) -> None:
    box.appliance.flows = flow("node.warn('plant ' + process.env.PLANT)")
    box.appliance.settings["env"]["PLANT"] = "one"
    await box.start()
    first = await box.until("running")
    box.appliance.settings["env"]["PLANT"] = "two"
    box.appliance.settings["stack"] = {"memory": "400"}
    await box.command("restart")
    await renewed(box, first["nodeRedPid"])
    await eventually(lambda: box.said("plant two"), 20)


async def test_the_flows_of_two_never_run_at_once(box: Rig) -> None:
    """Each run takes a lock while its flows live: a second one would find it taken."""
    lock = box.directory.parent / "lock"
    take = f"fs.mkdirSync({str(lock)!r}); node.warn('taken')"
    flows = flow("")
    flows[2] |= {
        "initialize": take,
        "finalize": f"fs.rmdirSync({str(lock)!r})",
        "libs": [{"var": "fs", "module": "fs"}],
    }
    box.appliance.flows = flows
    await box.start()
    info = await box.until("running")
    for count in range(2, 4):
        await box.command("restart")
        info = await renewed(box, info["nodeRedPid"])
        assert sum(str(entry["msg"]) == "taken" for entry in await box.logs()) == count
    assert not await box.said("EEXIST")


async def test_a_stop_during_a_restart_ends_both(box: Rig) -> None:
    await box.start()
    first = await box.until("running")
    await box.command("restart", generation=2)
    waiting = await successor(box, first["nodeRedPid"])
    await box.command("stop", generation=3)
    assert (await box.until("stopped"))["commandGeneration"] == 3
    assert not alive(first["nodeRedPid"]) and not alive(waiting)


async def test_a_second_restart_during_one_takes_its_settings(box: Rig) -> None:
    box.appliance.flows = flow("node.warn('plant ' + process.env.PLANT)")
    await box.start()
    first = await box.until("running")
    box.appliance.settings["env"]["PLANT"] = "two"
    await box.command("restart", generation=2)
    waiting = await successor(box, first["nodeRedPid"])
    box.appliance.settings["env"]["PLANT"] = "three"
    await box.command("restart", generation=3)
    info = await renewed(box, first["nodeRedPid"])
    assert info["commandGeneration"] == 3 and not alive(waiting), "what does not fit any more is ended"
    await eventually(lambda: box.said("plant three"), 20)
    assert not await box.said("plant two") and node_reds(box) == [info["nodeRedPid"]]


async def test_a_crash_during_a_restart_is_made_good_by_the_successor(box: Rig) -> None:
    await box.start()
    first = await box.until("running")
    await box.command("restart", generation=2)
    waiting = await successor(box, first["nodeRedPid"])
    os.kill(first["nodeRedPid"], signal.SIGKILL)
    info = await renewed(box, first["nodeRedPid"])
    assert info["nodeRedPid"] == waiting and info["commandGeneration"] == 2
    await eventually(lambda: len(box.appliance.seen("crashed")) == 1)


async def test_a_successor_that_dies_costs_only_the_time(box: Rig) -> None:
    box.appliance.flows = page("/here")
    await box.start()
    first = await box.until("running")
    async with knocking(box, "/here") as answers:
        await box.command("restart", generation=2)
        waiting = await successor(box, first["nodeRedPid"])
        os.kill(waiting, signal.SIGKILL)
        info = await renewed(box, first["nodeRedPid"])
    assert info["nodeRedPid"] != waiting and await box.said("restarting plainly")
    assert {status for status, _ in answers} == {204}, answers


async def test_a_restart_that_can_not_be_prepared_leaves_what_runs(box: Rig) -> None:
    await box.start()
    first = await box.until("running")
    settings = box.directory / "settings.js"
    settings.unlink()
    settings.mkdir()  # no file can take its place
    await box.command("restart", generation=2)
    await eventually(lambda: bool(box.appliance.seen("start-failed")), 20)
    info = await box.until("running")
    assert info["nodeRedPid"] == first["nodeRedPid"] and info["reason"] == "disk" and info["commandGeneration"] == 2
    assert "was not carried out" in info["message"]
    settings.rmdir()
    await box.command("restart", generation=3)
    assert (await renewed(box, first["nodeRedPid"]))["reason"] == ""


async def test_the_successor_ends_with_its_launcher(box: Rig) -> None:
    await box.start()
    first = await box.until("running")
    await box.command("restart")
    waiting = await successor(box, first["nodeRedPid"])
    os.kill(box.pid, signal.SIGKILL)
    await eventually(lambda: not alive(waiting), 20)
    assert alive(first["nodeRedPid"]), "what serves goes on"
    os.kill(first["nodeRedPid"], signal.SIGTERM)


async def test_the_successor_knows_no_secret(box: Rig) -> None:
    box.appliance.settings["weir"]["hotSpare"] = True
    await box.start()
    first = await box.until("running")
    spare = await successor(box, first["nodeRedPid"])
    await eventually(lambda: blocked_on_its_channel(spare), 30)
    memory = b"".join(readable_memory(spare))
    assert b"NODE_RED_HOME" in memory, "this is its memory"
    for name, secret in SECRETS.items():
        assert secret.encode() not in memory, name


def readable_memory(pid: int) -> list[bytes]:
    found = []
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as file:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            words = line.split()
            first, last = (int(number, 16) for number in words[0].split("-"))
            if "w" in words[1] and "r" in words[1] and last - first < 1 << 28:
                try:
                    file.seek(first)
                    found.append(file.read(last - first) or b"")
                except OSError:
                    continue
    return found
