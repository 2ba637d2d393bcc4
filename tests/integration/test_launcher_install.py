"""Installs beside what is there: with the real npm, a registry of the tests and whatever may go wrong."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from launcher.install import EXIT_TIMEOUT
from launcher.npm import InstallFailed
from tests.install_bench import Bench
from tests.integration.test_launcher_node_red import alive
from tests.npm_registry import registry
from tests.support import eventually

pytestmark = pytest.mark.real


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with registry() as shop:
        for version in ("1.0.0", "1.0.1"):
            shop.add("node-red-contrib-x", version)
        shop.add("dep-a", "1.0.0")
        yield Bench(tmp_path / "instance", shop)


async def test_a_list_is_installed_and_changed(bench: Bench) -> None:
    await bench.install(node_red_contrib_x="1.0.0")
    assert bench.version("node-red-contrib-x") == "1.0.0" and bench.listed() == {"node-red-contrib-x": "1.0.0"}
    assert not bench.modules.missing({"node-red-contrib-x": "1.0.0"})
    await bench.install(node_red_contrib_x="~1.0.0", dep_a="*")
    assert bench.version("node-red-contrib-x") == "1.0.0" and bench.version("dep-a") == "1.0.0"
    await bench.install(dep_a="*")
    assert bench.version("node-red-contrib-x") == "" and bench.listed() == {"dep-a": "*"} and not bench.stages()
    await bench.install()
    assert bench.listed() == {} and bench.version("dep-a") == ""


@pytest.mark.parametrize("fault", ["error", "corrupt", "hang"])
async def test_a_failure_leaves_all_as_it_was(bench: Bench, fault: str) -> None:
    await bench.install(dep_a="1.0.0")
    before = bench.picture()
    bench.shop.fault = fault
    with pytest.raises(InstallFailed, match="still busy" if fault == "hang" else "(?i)500|EINTEGRITY|E500"):
        await bench.install(timeout_s=4 if fault == "hang" else 60, node_red_contrib_x="1.0.0", dep_a="1.0.0")
    assert bench.picture() == before and not bench.stages()
    bench.shop.fault = ""
    await bench.install(node_red_contrib_x="1.0.0", dep_a="1.0.0")
    assert bench.version("node-red-contrib-x") == "1.0.0"


async def test_a_module_that_does_not_exist_is_named(bench: Bench) -> None:
    with pytest.raises(InstallFailed, match="E404.*no-such-module"):
        await bench.install(no_such_module="1.0.0")
    assert bench.listed() == {} and not bench.stages()


async def test_an_install_that_is_cancelled_leaves_no_process_and_no_trace(bench: Bench) -> None:
    await bench.install(dep_a="1.0.0")
    before = bench.picture()
    task, npm = await begun(bench)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not alive(npm) and bench.picture() == before and not bench.stages()


@pytest.mark.parametrize("victim", ["npm", "runner", "both"])
async def test_killed_in_the_middle(bench: Bench, victim: str) -> None:
    await bench.install(dep_a="1.0.0")
    before = bench.picture()
    task, npm = await begun(bench)
    runner = psutil.Process(npm).ppid()
    for pid in {"npm": [npm], "runner": [runner], "both": [runner, npm]}[victim]:
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(InstallFailed):
        await task
    await eventually(lambda: not alive(npm))
    assert bench.picture() == before
    assert bench.modules.cut_off() == (victim != "npm")
    bench.shop.fault = ""
    await bench.modules.recover(bench.env)
    assert not bench.modules.cut_off() and bench.picture() == before
    await bench.install(node_red_contrib_x="1.0.0")
    assert bench.version("node-red-contrib-x") == "1.0.0"


async def begun(bench: Bench) -> tuple[asyncio.Task[None], int]:
    """An install that hangs at the registry, and its npm."""
    bench.shop.fault, bench.shop.asked = "hang", []
    task = asyncio.create_task(bench.install(node_red_contrib_x="1.0.0", dep_a="1.0.0"))
    await eventually(lambda: any(path.endswith(".tgz") for path in bench.shop.asked), 40)
    return task, bench.npm()


async def test_an_install_ends_with_the_process_that_asked_for_it(bench: Bench) -> None:
    """A launcher that is killed leaves no npm behind; an npm whose runner was killed with it is ended by the next."""
    bench.shop.fault = "hang"
    words = json.dumps(bench.command("--", "install", "dep-a"))
    parent = f"import subprocess, sys; subprocess.run({words}, cwd={str(bench.directory)!r})"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", parent, env=bench.env, stderr=subprocess.DEVNULL, start_new_session=True
    )
    await eventually(lambda: any(path.endswith(".tgz") for path in bench.shop.asked), 40)
    npm = bench.npm()
    process.kill()
    await process.wait()
    await eventually(lambda: not alive(npm) and not bench.stages(), 15)
    assert bench.listed() == {}


async def test_install_scripts_run_without_the_secrets_of_the_environment(bench: Bench) -> None:
    script = "node -e \"require('fs').writeFileSync('seen.json', JSON.stringify(process.env))\""
    bench.shop.add("nosy", "1.0.0", scripts={"postinstall": script})
    bench.env |= {"FORGE_PROJECT_TOKEN": "t", "WEIR_X": "t", "npm_config_foo": "kept", "NODE_OPTIONS": "--no-warnings"}
    await bench.install(nosy="1.0.0")
    seen = json.loads((bench.directory / "node_modules" / "nosy" / "seen.json").read_text())
    assert seen["npm_config_foo"] == "kept" and seen["HOME"] == str(bench.directory)
    names = [name for name in seen if name.startswith(("WEIR", "FORGE", "DB_"))]
    assert not names and "NODE_OPTIONS" not in seen and "swordfish" not in json.dumps(seen)


async def test_two_installs_take_turns(bench: Bench) -> None:
    shim = bench.command("--", "install", "--save-prefix=~", "dep-a")
    other = await asyncio.create_subprocess_exec(*shim, cwd=bench.directory, env=bench.env)
    await asyncio.gather(bench.install(node_red_contrib_x="1.0.0"), other.wait())
    # Whichever came last: it began with what the first one left.
    assert set(bench.listed()) in ({"node-red-contrib-x"}, {"node-red-contrib-x", "dep-a"})
    assert {name for name in ("node-red-contrib-x", "dep-a") if bench.version(name)} == set(bench.listed())


async def test_the_shim_installs_beside_and_leaves_the_rest_to_npm(bench: Bench, tmp_path: Path) -> None:
    shim = tmp_path / "npm"
    bench.modules.write_shim(shim)

    def npm(*arguments: str, cwd: Path = bench.directory) -> subprocess.CompletedProcess[str]:
        words = [str(shim), *arguments]
        return subprocess.run(words, cwd=cwd, env=bench.env, capture_output=True, text=True, check=False)

    def work() -> None:
        assert npm("--version").stdout.startswith("1")
        done = npm("install", "--save", "--save-prefix=~", "--", "node-red-contrib-x@1.0.0")
        assert done.returncode == 0 and bench.listed() == {"node-red-contrib-x": "~1.0.0"}, done
        assert npm("remove", "--", "node-red-contrib-x").returncode == 0 and bench.listed() == {}
        failed = npm("install", "--", "no-such-module")
        assert failed.returncode == 1 and " 404 " in failed.stderr
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "package.json").write_text("{}")
        assert npm("install", "dep-a", cwd=elsewhere).returncode == 0 and (elsewhere / "node_modules/dep-a").is_dir()

    await asyncio.to_thread(work)
    assert bench.version("dep-a") == "" and not bench.stages()


async def test_a_time_limit_holds_for_the_shim_too(bench: Bench) -> None:
    bench.shop.fault = "hang"
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *bench.command("--", "install", "dep-a", timeout_s=4),
        cwd=bench.directory,
        env=bench.env,
        stderr=subprocess.DEVNULL,
    )
    assert await process.wait() == EXIT_TIMEOUT and time.monotonic() - began < 40
    assert bench.listed() == {} and not bench.stages()


async def test_a_folder_is_linked_to_from_where_it_will_be(bench: Bench) -> None:
    folder = bench.directory.parent / "own-nodes"
    folder.mkdir()
    (folder / "package.json").write_text('{"name": "own-nodes", "version": "2.0.0"}')
    await bench.install(own_nodes="file:../own-nodes")
    assert bench.version("own-nodes") == "2.0.0" and bench.listed() == {"own-nodes": "file:../own-nodes"}
    await bench.install(own_nodes="file:../own-nodes", dep_a="1.0.0")
    link = bench.directory / "node_modules" / "own-nodes"
    assert link.resolve() == folder.resolve() and bench.version("own-nodes") == "2.0.0"


async def test_a_spoiled_module_is_seen_and_mended(bench: Bench) -> None:
    wanted = {"node-red-contrib-x": "1.0.0"}
    await bench.install(node_red_contrib_x="1.0.0")
    (bench.directory / "node_modules" / "node-red-contrib-x" / "package.json").write_text("")
    assert bench.modules.missing(wanted) and bench.modules.absent(wanted) == ["node-red-contrib-x"]
    await bench.install(node_red_contrib_x="1.0.0")
    assert bench.version("node-red-contrib-x") == "1.0.0" and not bench.modules.missing(wanted)


async def test_progress_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("launcher.npm._TELL_S", 0.02)
    await bench.install(node_red_contrib_x="1.0.0", dep_a="1.0.0")
    assert bench.progress[0] == "0 s so far", bench.progress
    assert any(text.startswith("2 of 2 packages fetched (100 %), ") for text in bench.progress)
    assert not any("silly" in line for line in bench.said)
