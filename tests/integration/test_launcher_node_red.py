"""The launcher with the real Node-RED: its life, its crashes, what it tells."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.launcher_rig import SECRETS, Rig, rig
from tests.support import built_stack, eventually

pytestmark = pytest.mark.real


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path, built_stack()) as made:
        yield made


def flow(code: str, *, repeat: str = "", once: bool = True) -> list[dict[str, Any]]:
    """One tab: an inject at start into a function with `code`."""
    inject = {"id": "i1", "type": "inject", "z": "t1", "name": "", "props": [{"p": "payload"}], "repeat": repeat}
    inject |= {"crontab": "", "once": once, "onceDelay": 0.05, "topic": "", "payload": "x", "payloadType": "str"}
    function = {"id": "f1", "type": "function", "z": "t1", "name": "f", "func": code, "outputs": 0}
    function["libs"] = [{"var": "process", "module": "process"}, {"var": "v8", "module": "v8"}]
    return [
        {"id": "t1", "type": "tab", "label": "t", "disabled": False, "info": ""},
        {**inject, "x": 1, "y": 1, "wires": [["f1"]]},
        {**function, "noerr": 0, "initialize": "", "finalize": "", "x": 2, "y": 1, "wires": []},
    ]


def page(path: str) -> list[dict[str, Any]]:
    return [
        {"id": "t1", "type": "tab", "label": "t", "disabled": False, "info": ""},
        {"id": "h1", "type": "http in", "z": "t1", "url": path, "method": "get", "x": 1, "y": 1, "wires": [["h2"]]},
        {"id": "h2", "type": "http response", "z": "t1", "statusCode": "204", "headers": {}, "x": 2, "y": 1},
    ]


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def proc(pid: int, name: str) -> bytes:
    return Path(f"/proc/{pid}/{name}").read_bytes()


def files_below(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


async def test_boots_reports_each_state_in_order_and_ends_cleanly(box: Rig) -> None:
    await box.start()
    info = await box.until("running")
    assert info["listening"] and info["generation"] == 4 and info["versions"]["node-red"].startswith(("4.1", "5."))
    assert info["lastStartTime"] > 0
    await eventually(lambda: box.appliance.words() == ["loading", "starting", "running"])
    assert [report["seq"] for report in box.appliance.states] == [1, 2, 3]
    assert box.appliance.states[-1]["nodeRedPid"] == info["nodeRedPid"]
    for route, status in (("health-check", 200), ("ready", 200), ("startup", 200), ("resources", 200)):
        async with box.http.get(f"{box.url}/{route}") as answer:
            assert answer.status == status, route
            if route == "startup":
                assert "nr_startup_duration_ms" in await answer.text()
    assert await box.stop() == 0
    assert box.appliance.words()[-1] == "stopped" and not alive(info["nodeRedPid"])


async def test_no_secret_is_to_be_found_where_a_flow_or_a_neighbour_can_read(box: Rig) -> None:
    await box.start()
    info = await box.until("running")
    readable = {
        **files_below(box.directory),
        Path("launcher.out"): box.out().encode(),
        Path("argv"): proc(box.pid, "cmdline"),
        Path("env"): proc(box.pid, "environ"),
        Path("node argv"): proc(info["nodeRedPid"], "cmdline"),
        Path("node env"): proc(info["nodeRedPid"], "environ"),
    }
    assert box.directory / "settings.js" in readable and box.directory / "launcher" / "settings.json" in readable
    # What Node-RED needs of it is kept for a start without the appliance: its own process knows it anyway.
    kept = box.directory / "launcher" / "away" / "grant.json"
    assert kept in readable and kept.stat().st_mode & 0o777 == 0o600
    for path, content in readable.items():
        for name, secret in SECRETS.items():
            allowed = path == kept and name not in ("token", "apiSecret")
            assert allowed or secret.encode() not in content, f"{name} in {path}"
        assert b"ticket-1" not in content, path
    assert (box.directory / "settings.js").stat().st_mode & 0o777 == 0o600
    # Undumpable: what /proc shows of the launcher belongs to root, whoever its user is.
    assert b"WEIR_" not in readable[Path("node env")].replace(b"WEIR_LISTEN_FD=3", b"").replace(
        b"WEIR_CONTROL_FD=4", b""
    )


async def test_the_memory_limit_reaches_v8(box: Rig) -> None:
    """FlowFuse put the flag behind the script, where V8 does not look (instance protocol L2)."""
    box.appliance.flows = flow("node.warn('limit ' + v8.getHeapStatistics().heap_size_limit)")
    await box.start()
    await eventually(lambda: box.said("limit "), 20)
    limit = next(int(e["msg"].split()[1]) for e in await box.logs() if str(e["msg"]).startswith("limit "))
    assert 225 <= limit / 2**20 <= 225 + 256, "0.75 of 300 MB, and the young generation on top"


async def test_the_api_is_closed_without_the_secret(box: Rig) -> None:
    await box.start()
    await box.until("running")
    async with aiohttp.ClientSession() as session:
        for method, path in (("GET", "/info"), ("POST", "/command"), ("GET", "/logs"), ("GET", "/logs/stream")):
            async with session.request(method, box.url + path, json={"cmd": "stop"}) as answer:
                assert answer.status == 401, path
    assert await box.state() == "running"


async def test_stop_and_start_by_command(box: Rig) -> None:
    await box.start()
    first = await box.until("running")
    assert await box.command("stop", generation=3) == 200
    stopped = await box.until("stopped")
    assert not alive(first["nodeRedPid"]) and stopped["commandGeneration"] == 3 and stopped["nodeRedPid"] is None
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", box.node_red_port), 1).close()
    await eventually(lambda: bool(box.appliance.seen("stopped")))
    assert await box.command("start", generation=4) == 200
    again = await box.until("running")
    assert again["commandGeneration"] == 4 and again["nodeRedPid"] != first["nodeRedPid"]
    assert await box.command("start") == 409, "the reference's answer to a start without a wish"
    assert await box.command("start", generation=5) == 200
    await eventually(lambda: box.appliance.states[-1]["commandGeneration"] == 5)
    assert await box.command("stop", generation=2) == 200, "an old wish comes late: nothing happens"
    assert await box.command("fly") == 404
    assert (await box.info())["nodeRedPid"] == again["nodeRedPid"]


async def test_no_connection_is_refused_while_it_restarts(box: Rig) -> None:
    box.appliance.flows = page("/here")
    await box.start()
    first = await box.until("running")
    answers: list[int] = []
    going = True

    async def knock() -> None:
        async with aiohttp.ClientSession() as session:
            while going:
                try:
                    url = f"http://127.0.0.1:{box.node_red_port}/here"
                    async with session.get(url, timeout=aiohttp.ClientTimeout(20)) as answer:
                        answers.append(answer.status)
                except aiohttp.ServerDisconnectedError:
                    answers.append(0)  # was being served when Node-RED ended: not refused
                except aiohttp.ClientConnectorError:
                    answers.append(-1)
                await asyncio.sleep(0.02)

    knocking = asyncio.create_task(knock())
    assert await box.command("restart", generation=9) == 200

    async def renewed() -> bool:
        info = await box.info()
        return info["state"] == "running" and info["nodeRedPid"] != first["nodeRedPid"]

    await eventually(renewed, 30)
    count = len(answers)
    await eventually(lambda: len(answers) > count + 3)
    going = False
    await knocking
    assert -1 not in answers and 204 in answers and 404 not in answers, answers
    assert "stopped" not in box.appliance.words()


async def test_flows_that_crash_lead_to_safe_mode_and_a_restart_leaves_it(box: Rig) -> None:
    box.pace = 0.05
    box.appliance.flows = flow("process.exit(7)")
    await box.start()
    info = await box.until("safe", timeout_s=55)
    assert (await box.until("safe"))["reason"] == "crash_loop"
    await eventually(lambda: bool(box.appliance.seen("safe-mode")))
    crashes = box.appliance.seen("crashed")
    assert len(crashes) == 5 and crashes[0]["info"]["code"] == 7 and crashes[0]["__launcherLog"]
    crashed = [report for report in box.appliance.states if report["state"] == "crashed"]
    assert len(crashed) == 5 and "Next start in" in crashed[0]["message"]
    box.appliance.flows = page("/repaired")
    assert await box.command("restart") == 200
    assert (await box.until("running"))["nodeRedPid"] != info["nodeRedPid"]


async def test_an_exit_without_error_is_a_crash_too(box: Rig) -> None:
    """FlowFuse took status 0 for a wanted stop (instance protocol L10)."""
    await box.start()
    first = await box.until("running")
    os.kill(first["nodeRedPid"], signal.SIGTERM)
    await eventually(lambda: bool(box.appliance.seen("crashed")), 15)
    assert box.appliance.seen("crashed")[0]["info"]["code"] == 0
    await box.until("running")
    os.kill((await box.info())["nodeRedPid"], signal.SIGKILL)
    await eventually(lambda: len(box.appliance.seen("crashed")) == 2)
    assert box.appliance.seen("crashed")[1]["info"]["signal"] == "SIGKILL"


async def test_a_port_in_use_is_named_and_retried(box: Rig) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", box.node_red_port))
        taken.listen()
        await box.start()
        info = await box.until("crashed")
        assert info["reason"] == "port_in_use" and str(box.node_red_port) in info["message"]
        await eventually(lambda: bool(box.appliance.seen("start-failed")))
        assert box.appliance.seen("start-failed")[0]["error"]["code"] == "port_in_use"
    await box.until("running", timeout_s=40)


async def test_a_missing_stack_says_how_to_build_it(box: Rig) -> None:
    box.stack = type(box.stack)(name="x", node=box.stack.node, node_red=str(box.directory / "nothing"))
    box.appliance.settings["weir"]["stack"] = "node-red-5"
    await box.start()
    info = await box.until("crashed")
    assert info["reason"] == "stack_missing" and "weir stack build node-red-5" in info["message"]
    assert await box.command("stop") == 200
    await box.until("stopped")


async def test_a_program_that_is_no_node_does_not_leave_it_stuck(box: Rig) -> None:
    bad = box.directory.parent / "node"
    bad.write_bytes(b"\x7fELF nonsense")
    bad.chmod(0o755)
    box.stack = type(box.stack)(name="x", node=str(bad), node_red=box.stack.node_red)
    await box.start()
    assert (await box.until("crashed"))["reason"] == "spawn_failed"


async def test_it_starts_stopped_when_that_is_wanted(box: Rig) -> None:
    box.appliance.settings["weir"] |= {"desired": "stopped", "commandGeneration": 12}
    await box.start()
    info = await box.until("stopped")
    assert info["commandGeneration"] == 12 and info["nodeRedPid"] is None
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", box.node_red_port), 1).close()
    await box.command("start", generation=13)
    await box.until("running")


async def test_a_stop_during_back_off_and_preparation_takes_at_once(box: Rig) -> None:
    box.appliance.flows = flow("process.exit(1)")
    await box.start()
    await box.until("crashed")
    await box.command("restart", generation=2)
    await box.command("stop", generation=3)
    await eventually(lambda: box.appliance.states[-1]["commandGeneration"] == 3)
    assert (await box.until("stopped"))["nodeRedPid"] is None


async def test_the_appliance_goes_away_and_comes_back(box: Rig) -> None:
    await box.appliance.close()
    await box.start()
    await eventually(lambda: Path(box.directory / "launcher").exists())
    async with box.http.get(box.url + "/info") as answer:
        assert answer.status == 503, "there is no secret yet to be let in with"
    await box.appliance.open()
    first = await box.until("running")
    await eventually(lambda: box.appliance.words()[-1] == "running")
    await box.appliance.close()
    os.kill(first["nodeRedPid"], signal.SIGKILL)

    async def renewed() -> bool:
        info = await box.info()
        return info["nodeRedPid"] not in (None, first["nodeRedPid"])

    await eventually(renewed, 30, what="restart with what it was started with")
    await box.appliance.open()
    await box.until("running", timeout_s=40)
    await eventually(lambda: "crashed" in box.appliance.words() and box.appliance.words()[-1] == "running", 15)
    assert box.appliance.seen("crashed"), "nothing was lost meanwhile"
    sequence = [report["seq"] for report in box.appliance.states]
    assert sequence == sorted(sequence)


async def test_refused_reports_do_not_end_it(box: Rig) -> None:
    """FlowFuse's launcher died of a 401 and left Node-RED without a supervisor (instance protocol L5)."""
    box.appliance.refuse_reports = True
    await box.start()
    await box.until("running")
    assert await box.command("restart", generation=1) == 200
    await box.until("running")


@pytest.mark.parametrize("ticket", ["spent", "unknown"])
async def test_a_refused_ticket_ends_it_with_a_status_of_its_own(box: Rig, ticket: str) -> None:
    await box.start(ticket)
    assert box.process is not None
    async with asyncio.timeout(10):
        assert await box.process.wait() == 77
    assert "refused the boot ticket" in box.out()


async def test_a_second_signal_ends_it_at_once(box: Rig) -> None:
    box.appliance.flows = flow("process.removeAllListeners('SIGTERM'); process.on('SIGTERM', () => {});")
    await box.start()
    info = await box.until("running")
    await asyncio.sleep(0.3)
    assert box.process is not None
    box.process.send_signal(signal.SIGTERM)
    await eventually(lambda: True)
    await asyncio.sleep(0.3)
    assert box.process.returncode is None and alive(info["nodeRedPid"])
    box.process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(3):
        await box.process.wait()
    await eventually(lambda: not alive(info["nodeRedPid"]))


async def test_modules_are_installed_and_a_failure_leaves_the_list(box: Rig) -> None:
    module = box.directory.parent / "node-red-contrib-local"
    module.mkdir()
    (module / "package.json").write_text('{"name":"node-red-contrib-local","version":"1.2.3"}')
    box.appliance.settings["settings"]["palette"]["modules"] = {"node-red-contrib-local": f"file:{module}"}
    await box.start()
    await box.until("running", timeout_s=50)
    assert (box.directory / "node_modules" / "node-red-contrib-local" / "package.json").exists()
    assert "installing" in box.appliance.words() and await box.said("[npm] ")
    listed = json.loads((box.directory / "package.json").read_text())["dependencies"]
    box.appliance.settings["env"]["npm_config_offline"] = "true"
    for generation, wanted, told in (
        (1, {"node-red-contrib-local": "9.9.9"}, "the versions of before are used"),
        (2, {"node-red-contrib-gone": "1.0.0"}, "node-red-contrib-gone missing"),
    ):
        box.appliance.settings["settings"]["palette"]["modules"] = wanted
        await box.command("restart", generation=generation)
        await eventually(lambda told=told: box.said(told), 50)  # type: ignore[misc]
        await eventually(lambda wish=generation: wish in running(box), 30)  # type: ignore[misc]
        assert (await box.info())["reason"] == "modules_failed"
        assert json.loads((box.directory / "package.json").read_text())["dependencies"] == listed


def running(box: Rig) -> list[int]:
    """The wishes with which it was reported running."""
    return [report["commandGeneration"] for report in box.appliance.states if report["state"] == "running"]


async def test_a_blocked_event_loop_is_found_and_ended(box: Rig) -> None:
    box.appliance.settings["healthCheckInterval"] = 1001
    # Later than the start: a loop blocked before the port opens is a start that takes too long.
    box.appliance.flows = flow("setTimeout(() => { while (true) {} }, 1500)")
    await box.start()
    # The audit entry and the state come one after the other.
    await eventually(lambda: box.appliance.seen("crashed") and "crashed" in box.appliance.words(), 40)
    crashed = [report for report in box.appliance.states if report["state"] == "crashed"]
    assert crashed[0]["reason"] == "hung", crashed
    await box.command("stop")
    await box.until("stopped")


async def test_after_a_sudden_death_the_next_launcher_ends_what_was_left(box: Rig) -> None:
    await box.start()
    first = await box.until("running")
    os.kill(box.pid, signal.SIGKILL)
    assert box.process is not None
    await box.process.wait()
    assert alive(first["nodeRedPid"]), "Node-RED goes on serving without its launcher"
    box.appliance.tickets.add("ticket-1")
    await box.start()
    second = await box.until("running")
    assert second["nodeRedPid"] != first["nodeRedPid"]
    await eventually(lambda: not alive(first["nodeRedPid"]))
    assert await box.said("left behind")
    assert not [entry for entry in box.appliance.states if entry["reason"] == "port_in_use"]
