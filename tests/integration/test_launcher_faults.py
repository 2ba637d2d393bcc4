"""What went wrong in launchers before ours: faults of `docs/faults.md` that need a real Node-RED to show."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from launcher.npm import InstallFailed, Modules
from tests.integration.test_launcher_node_red import alive, flow
from tests.launcher_rig import Rig, rig
from tests.support import built_stack, eventually

pytestmark = pytest.mark.real


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path, built_stack()) as made:
        yield made


async def test_launcher_and_node_red_listen_on_one_loopback_address_only(box: Rig) -> None:
    await box.start()
    await box.until("running")
    for port in (box.port, box.node_red_port):
        socket.create_connection(("127.0.0.1", port), 1).close()
        with pytest.raises(OSError):  # a socket for all addresses would answer here
            socket.create_connection(("127.0.0.2", port), 1).close()


async def test_the_rig_of_these_tests_leaves_nothing_behind(tmp_path: Path) -> None:
    """A test that fails right after the sudden death of a launcher leaves a Node-RED that nobody looks after."""
    with pytest.raises(ZeroDivisionError):
        async with rig(tmp_path, built_stack()) as box:
            await box.start()
            node_red = (await box.until("running"))["nodeRedPid"]
            os.kill(box.pid, signal.SIGKILL)
            assert box.process is not None
            await box.process.wait()
            assert alive(node_red)
            raise ZeroDivisionError
    assert box.at_home() == []
    await eventually(lambda: not alive(node_red), what="reaped by init")


async def test_safe_mode_outlasts_a_hang(box: Rig) -> None:
    """The hang recovery of FlowFuse's launcher started the crashing flows again (instance protocol L9)."""
    box.appliance.settings["healthCheckInterval"] = 1001
    box.appliance.flows = flow("node.warn('the flows run')")
    await box.start()
    await eventually(lambda: box.said("the flows run"), 30)
    await box.command("restart", safe=True)
    first = await box.until("safe")
    said = sum("the flows run" in str(entry["msg"]) for entry in await box.logs())
    os.kill(first["nodeRedPid"], signal.SIGSTOP)

    async def renewed() -> bool:
        info = await box.info()
        return info["state"] == "safe" and info["nodeRedPid"] not in (None, first["nodeRedPid"])

    await eventually(renewed, 40)
    assert [report["reason"] for report in box.appliance.states if report["state"] == "crashed"] == ["hung"]
    assert sum("the flows run" in str(entry["msg"]) for entry in await box.logs()) == said


async def test_flows_deployed_in_safe_mode_come_back_after_a_crash(box: Rig) -> None:
    """A module stands for the person who deploys: it tells that the flows have started."""
    nodes = box.directory / "nodes"
    nodes.mkdir(parents=True)
    (nodes / "deploys.html").touch()
    tells = """require("fs").writeSync(4, '{"event":"flows-started"}\\n')"""
    tells = f"if (process.env.NODE_RED_ENABLE_SAFE_MODE) setTimeout(() => {tells}, 4000)"
    (nodes / "deploys.js").write_text(f"module.exports = () => {{ {tells}; }};")
    box.appliance.flows = flow("node.warn('the flows run')")
    await box.start()
    await box.until("running")
    await box.command("restart", safe=True)
    first = await box.until("safe")
    await eventually(lambda: box.appliance.words()[-1] == "running", 30)
    said = sum("the flows run" in str(entry["msg"]) for entry in await box.logs())
    os.kill(first["nodeRedPid"], signal.SIGKILL)

    async def run_again() -> bool:
        return sum("the flows run" in str(entry["msg"]) for entry in await box.logs()) > said

    await eventually(run_again, 40)
    await eventually(lambda: box.appliance.words()[-1] == "running", 30)
    assert box.appliance.words().count("safe") == 1


async def test_a_stop_does_not_wait_for_an_appliance_that_is_away(box: Rig) -> None:
    """FlowFuse's launcher resolved a stop only after its audit event was taken (instance protocol L11)."""
    await box.start()
    first = await box.until("running")
    await box.appliance.close()
    began = time.monotonic()
    await box.command("stop", generation=2)
    await box.until("stopped")
    assert time.monotonic() - began < 8 and not alive(first["nodeRedPid"])
    await box.appliance.open()
    await eventually(lambda: bool(box.appliance.seen("stopped")))
    assert box.appliance.states[-1]["commandGeneration"] == 2


async def test_install_scripts_see_no_secret_of_the_instance(box: Rig) -> None:
    """npm ran with all that the launcher knew (instance protocol L20)."""
    module = box.directory.parent / "node-red-contrib-nosy"
    module.mkdir()
    script = "node -e \"require('fs').writeFileSync('seen.json', JSON.stringify(process.env))\""
    package = {"name": "node-red-contrib-nosy", "version": "1.0.0", "scripts": {"postinstall": script}}
    (module / "package.json").write_text(json.dumps(package))
    box.appliance.settings["env"] |= {"DB_PASSWORD": "swordfish", "npm_config_offline": "true"}
    box.appliance.settings["settings"]["palette"]["modules"] = {"node-red-contrib-nosy": f"file:{module}"}
    await box.start()
    await box.until("running", timeout_s=50)
    # A folder is linked, so its script ran where it lies.
    seen = json.loads((module / "seen.json").read_text())
    assert seen["npm_config_offline"] == "true" and seen["HOME"] == str(box.directory)
    assert "DB_PASSWORD" not in seen and not [name for name in seen if name.startswith("WEIR_")]


async def test_an_install_that_hangs_is_ended_and_leaves_the_list(tmp_path: Path) -> None:
    shell = tmp_path / "runtime" / "bin" / "node"
    npm = tmp_path / "runtime" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    for path in (shell, npm):
        path.parent.mkdir(parents=True)
    shutil.copy("/bin/sh", shell)
    npm.write_text('echo $$ > "$HOME/pid"; sleep 60 & wait')
    said = list[str]()
    modules = Modules(tmp_path, str(shell), str(tmp_path / "stack"), said.append)
    modules.ensure_package("i1")
    before = (tmp_path / "package.json").read_bytes()
    with pytest.raises(InstallFailed, match="still busy"):
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        await modules.install({"node-red-contrib-x": "1.0.0"}, env, said.append, timeout_s=2)
    assert (tmp_path / "package.json").read_bytes() == before
    assert not alive(int((tmp_path / "pid").read_text()))


async def test_the_reason_of_a_crash_is_of_its_own_run(box: Rig) -> None:
    box.appliance.flows = flow("console.log('heap out of memory'); setTimeout(() => process.exit(7), 50)")
    await box.start()
    await eventually(lambda: bool(box.appliance.seen("crashed")), 30)
    box.appliance.flows = flow("process.exit(7)")
    # The audit entry and the state come one after the other.
    await eventually(lambda: box.appliance.words().count("crashed") >= 2 <= len(box.appliance.seen("crashed")), 30)
    reasons = [report["reason"] for report in box.appliance.states if report["state"] == "crashed"]
    assert reasons[:2] == ["out_of_memory", "crashed"]
    assert "heap out" not in json.dumps(box.appliance.seen("crashed")[1]["__launcherLog"])


async def test_a_lost_answer_to_the_ticket_is_asked_for_again(box: Rig) -> None:
    """The appliance died after it took the ticket: what it granted is lost. Who took it can prove that it was he."""
    box.appliance.lose_boot_answer = True
    await box.start()
    await box.until("running")
    assert not box.appliance.lose_boot_answer


async def test_every_way_to_ask_for_logs_is_answered(box: Rig) -> None:
    """`/logs?start=` never answered on most errors (instance protocol L18)."""
    await box.start()
    await box.until("running")
    for start, status in (("x", 404), ("-1", 404), ("0", 200), ("9" * 13, 200), ("9" * 30, 404)):
        async with box.http.get(box.url + "/logs", params={"start": start}) as answer:
            assert answer.status == status, start
            await answer.read()
    for query in ({"limit": "9" * 5000}, {"limit": "0"}, {"limit": "-3"}, {"cursor": "9" * 17}, {"cursor": "x"}):
        async with box.http.get(box.url + "/logs/entries", params=query) as answer:
            assert answer.status == 200 and "meta" in await answer.json()
