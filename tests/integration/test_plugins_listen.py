"""The deferred listen and the control channel, on the real Node-RED."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from tests.plugins.fake_appliance import FakeAppliance
from tests.plugins.harness import SECRETS, NodeRed
from tests.support import built_stack, eventually, free_port

pytestmark = pytest.mark.real

TAB: dict[str, Any] = {"id": "tab", "type": "tab", "label": "Flow"}


WAIT = "await new Promise((done) => setTimeout(done, 700));"

#: The sandbox of function nodes catches what its own timers throw; this is what a faulty palette node does.
CRASH: dict[str, Any] = {
    "initialize": "timers.setTimeout(() => { throw new Error('boom'); }, 0);",
    "libs": [{"var": "timers", "module": "timers"}],
}


def function(code: str, **fields: object) -> dict[str, Any]:
    base = {"id": "fn", "z": "tab", "type": "function", "func": "return msg;", "outputs": 1, "wires": [[]]}
    return {**base, "initialize": code, "finalize": "", "libs": [], **fields}


def palette(node_red: NodeRed, name: str, code: str) -> None:
    """Installs a palette module with one node type; `code` runs when it is loaded."""
    folder = node_red.folder / "node_modules" / name
    folder.mkdir(parents=True)
    package = {"name": name, "version": "1.0.0", "node-red": {"nodes": {name: f"{name}.js"}}}
    (folder / "package.json").write_text(json.dumps(package))
    (folder / f"{name}.js").write_text(f"module.exports = (RED) => {{ {code} }};")
    (folder / f"{name}.html").write_text("<script type='text/html'></script>")


HELLO: list[dict[str, Any]] = [
    {"id": "in", "z": "tab", "type": "http in", "url": "/hello", "method": "get", "wires": [["out"]]},
    {"id": "out", "z": "tab", "type": "http response", "wires": []},
]


@pytest.fixture
async def appliance() -> AsyncIterator[FakeAppliance]:
    async with FakeAppliance() as fake:
        yield fake


@pytest.fixture
async def node_red(appliance: FakeAppliance, tmp_path: Path) -> AsyncIterator[NodeRed]:
    async with NodeRed(tmp_path / "red", appliance, built_stack()) as instance:
        yield instance


async def get(url: str, timeout_s: float = 40) -> int:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(timeout_s)) as http, http.get(url) as answer:
        await answer.read()
        return answer.status


async def test_early_clients_are_answered_by_running_flows(appliance: FakeAppliance, node_red: NodeRed) -> None:
    # The flow takes a moment to start: whoever is answered before would get a 404 for its route.
    appliance.stored["flows"] = [TAB, *HELLO, function(WAIT)]
    early = [asyncio.create_task(get(f"{node_red.url}/hello")) for _ in range(20)]
    await node_red.up()
    assert await asyncio.gather(*early) == [200] * 20
    assert [r["event"] for r in node_red.reports if r["event"] != "keep"] == ["flows-started", "listening"]
    assert node_red.said("Server now running")


async def test_a_restart_loses_no_client(appliance: FakeAppliance, node_red: NodeRed) -> None:
    # The flows take a while to stop: in that time their routes are gone and the server is still there.
    slow = "RED.nodes.createNode(this, c); this.on('close', (done) => setTimeout(done, 700));"
    palette(node_red, "slow", f"RED.nodes.registerType('slow', function (c) {{ {slow} }});")
    appliance.stored["flows"] = [
        TAB,
        *HELLO,
        {"id": "closes-late", "z": "tab", "type": "slow", "x": 1, "y": 1, "wires": []},
    ]
    await node_red.up()
    done = asyncio.Event()
    answers: list[int] = []

    async def keep_asking() -> None:
        while not done.is_set():
            answers.append(await get(f"{node_red.url}/hello"))

    asking = [asyncio.create_task(keep_asking()) for _ in range(3)]
    await eventually(lambda: len(answers) > 10)
    await node_red.stop()
    await node_red.up()
    served = len(answers)
    await eventually(lambda: len(answers) > served + 10)
    done.set()
    await asyncio.gather(*asking)
    assert set(answers) == {200}


async def test_a_stop_answers_what_has_begun(appliance: FakeAppliance, node_red: NodeRed) -> None:
    mark = node_red.folder / "asked"
    code = f"fs.writeFileSync({json.dumps(str(mark))}, ''); setTimeout(() => node.send(msg), 500);"
    slow = function("", func=code, wires=[["out"]], libs=[{"var": "fs", "module": "fs"}], x=1, y=1)
    appliance.stored["flows"] = [TAB, {**HELLO[0], "wires": [["fn"]]}, HELLO[1], slow]
    await node_red.up()
    asked = asyncio.create_task(get(f"{node_red.url}/hello"))
    await eventually(mark.exists)
    await node_red.stop()
    assert await asked == 200


async def test_missing_types_leave_the_editor_open(appliance: FakeAppliance, node_red: NodeRed) -> None:
    appliance.stored["flows"] = [TAB, {"id": "x", "z": "tab", "type": "nowhere-to-be-found", "wires": []}]
    await node_red.up()
    assert await get(node_red.url) == 200
    assert node_red.events("flows-stopped")[0]["value"]["reason"] == "missing-types"
    assert not node_red.events("flows-started")


async def test_flows_stopped_by_the_user_leave_the_editor_open(appliance: FakeAppliance, node_red: NodeRed) -> None:
    appliance.stored["flows"] = [TAB, *HELLO]
    appliance.stored["settings"] = {"runtimeFlowState": "stop"}
    await node_red.up()
    assert await get(node_red.url) == 200
    assert await get(f"{node_red.url}/hello") == 404


async def test_safe_mode_leaves_the_editor_open(appliance: FakeAppliance, node_red: NodeRed) -> None:
    appliance.stored["flows"] = [TAB, function("", **CRASH)]
    node_red.extra_env["NODE_RED_ENABLE_SAFE_MODE"] = "true"
    await node_red.up()
    assert await get(node_red.url) == 200
    assert node_red.events("flows-stopped")[0]["value"]["reason"] == "safe-mode"


async def test_flows_that_never_start_do_not_hold_the_editor(appliance: FakeAppliance, node_red: NodeRed) -> None:
    # Node-RED awaits the modules its flows name; this one takes for ever to be found missing.
    palette(node_red, "stuck", "RED.hooks.add('preInstall.stuck', () => new Promise(() => {}));")
    appliance.stored["flows"] = [TAB, function("", libs=[{"var": "x", "module": "weir-test-no-such-module"}])]
    node_red.extra_boot["flowsStartLimitMs"] = 500
    await node_red.up()
    assert await get(node_red.url) == 200
    assert not node_red.events("flows-started")


async def test_a_flow_that_throws_at_load_ends_node_red_and_refuses_nobody(
    appliance: FakeAppliance, node_red: NodeRed
) -> None:
    appliance.stored["flows"] = [TAB, *HELLO, function("", **CRASH)]
    waiting = asyncio.create_task(get(f"{node_red.url}/hello"))
    await node_red.start()
    await eventually(node_red.ended, 30)
    assert node_red.returncode == 1
    assert node_red.said("boom")
    if not node_red.events("listening"):
        appliance.stored["flows"] = [TAB, *HELLO]
        await node_red.up()
        assert await waiting == 200
    waiting.cancel()


async def test_children_and_forks_inherit_nothing_of_ours(appliance: FakeAppliance, node_red: NodeRed) -> None:
    """Neither descriptors nor variables nor the preload reach what a flow starts."""
    report = node_red.folder / "report.json"
    script = node_red.folder / "fork.js"
    script.write_text(
        "const fs = require('fs');"
        "const link = (n) => { try { return fs.readlinkSync('/proc/self/fd/' + n); } catch { return n; } };"
        "const fds = fs.readdirSync('/proc/self/fd').map(link);"
        f"fs.writeFileSync({json.dumps(str(report))}, JSON.stringify({{ fds, execArgv: process.execArgv,"
        " env: Object.keys(process.env) }));"
    )
    code = "child.fork(env.get('SCRIPT'), { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });"
    libs = [{"var": "child", "module": "child_process"}]
    marker = node_red.folder / "child.pid"
    appliance.stored["flows"] = [
        {**TAB, "env": [{"name": "SCRIPT", "type": "str", "value": str(script)}]},
        function(code, libs=libs),
        {"id": "go", "z": "tab", "type": "inject", "once": True, "onceDelay": 0.1, "repeat": "", "wires": [["ex"]]},
        {
            "id": "ex",
            "z": "tab",
            "type": "exec",
            "command": f"echo $$ > {marker}.new && mv {marker}.new {marker} && exec sleep 60",
            "addpay": "",
            "useSpawn": "false",
            "timer": "",
            "wires": [[], [], []],
        },
    ]
    await node_red.up()
    await eventually(marker.exists)
    pid = int(marker.read_text())
    held = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    own = {os.readlink(f"/proc/{node_red.pid}/fd/{fd}") for fd in ("3", "4")}
    assert all(link.startswith("socket:") for link in own)
    assert not own & set(held), held
    assert not [name for name in psutil.Process(pid).environ() if name.startswith("WEIR_")]
    await eventually(lambda: report.exists() and report.read_text())
    fork = json.loads(report.read_text())
    assert not any(link in entry for link in own for entry in fork["fds"]), fork["fds"]
    assert not any("preload" in argument for argument in fork["execArgv"])
    assert not any(name.startswith("WEIR_") for name in fork["env"])


async def test_other_servers_of_flows_are_untouched(appliance: FakeAppliance, node_red: NodeRed) -> None:
    port = free_port()
    code = (
        f"const server = http.createServer((q, r) => r.end('other'));"
        f"await new Promise((done) => server.listen({port}, '127.0.0.1', done));"
    )
    appliance.stored["flows"] = [TAB, *HELLO, function(code, libs=[{"var": "http", "module": "http"}])]
    await node_red.up()

    async def answers() -> bool:
        try:
            return await get(f"http://127.0.0.1:{port}/") == 200
        except aiohttp.ClientConnectorError:  # Node-RED does not wait for what a function does at its start
            return False

    await eventually(answers)
    assert await get(f"{node_red.url}/hello") == 200


async def test_the_flows_outlive_the_launcher(appliance: FakeAppliance, node_red: NodeRed) -> None:
    noisy = {**function("setInterval(() => node.warn('still here'), 20);")}
    appliance.stored["flows"] = [TAB, *HELLO, noisy]
    await node_red.up()
    node_red.launcher_dies()
    for _ in range(20):
        assert await get(f"{node_red.url}/hello") == 200
    assert not node_red.ended()


async def test_no_secret_is_printed_or_put_anywhere(appliance: FakeAppliance, node_red: NodeRed) -> None:
    spill = "node.warn('token ' + global.get('nothing') + ' fft_secret-of-node-red');"
    appliance.stored["flows"] = [TAB, function(spill)]
    await node_red.up()
    assert node_red.said("token undefined [secret]")
    process = Path(f"/proc/{node_red.pid}")
    places = [
        (process / "cmdline").read_bytes().decode(),
        (process / "environ").read_bytes().decode(),
        (node_red.folder / "settings.js").read_text(),
        "\n".join(node_red.lines),
    ]
    for secret in SECRETS.values():
        assert not [place for place in places if secret in place]


async def test_every_console_line_is_json(appliance: FakeAppliance, node_red: NodeRed) -> None:
    code = (
        "const loop = { name: 'loop' }; loop.self = loop; node.warn(loop);"
        "node.error(new Error('with a stack')); node.warn('x'.repeat(100000)); node.warn('two\\nlines');"
        "node.warn({ a: 1, big: 10n ** 3n });"
    )
    appliance.stored["flows"] = [TAB, function(code, name="Speaker")]
    await node_red.up()
    entries = [json.loads(line) for line in node_red.lines if line]
    assert all(isinstance(entry["ts"], int) and entry["level"] for entry in entries)
    of_node = [entry for entry in entries if entry.get("id") == "fn"]
    assert {entry["name"] for entry in of_node} == {"Speaker"}
    assert {entry["type"] for entry in of_node} == {"function"}
    texts = [json.dumps(entry["msg"]) for entry in of_node]
    assert any("Circular" in text for text in texts)
    assert any("with a stack" in text for text in texts)
    assert any("more characters" in text for text in texts)
    assert any("two\\nlines" in text for text in texts)
    assert max(len(line.encode()) for line in node_red.lines) < 16_000


async def test_without_a_boot_document_it_ends_and_says_why(appliance: FakeAppliance, node_red: NodeRed) -> None:
    node_red.extra_boot["nodeRedToken"] = ""
    await node_red.start()
    await eventually(node_red.ended, 20)
    assert node_red.returncode == 1
    assert node_red.said("no nodeRedToken")
