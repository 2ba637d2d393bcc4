"""Installs beside what is there: with the real npm, a registry of the tests and whatever may go wrong."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from launcher import install
from launcher.install import EXIT_TIMEOUT
from launcher.npm import InstallFailed, Modules
from launcher.staging import Yard, write_package
from tests.integration.test_launcher_node_red import alive
from tests.npm_registry import Registry, registry
from tests.support import built_stack, eventually

pytestmark = pytest.mark.real


class Bench:
    """A user directory, its modules, and the registry they come from."""

    def __init__(self, directory: Path, shop: Registry) -> None:
        stack = built_stack()
        self.directory = directory
        self.shop = shop
        self.said: list[str] = []
        self.progress: list[str] = []
        self.modules = Modules(directory, stack.node, stack.node_red, self.said.append)
        self.env = {
            "PATH": f"{Path(stack.node).parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(directory),
            "DB_PASSWORD": "swordfish",
        }
        directory.mkdir(parents=True)
        (directory / ".npmrc").write_text(shop.npmrc)
        self.modules.ensure_package("i1")

    async def install(self, timeout_s: float = 60, **wanted: str) -> None:
        listed = {name.replace("_", "-"): version for name, version in wanted.items()}
        await self.modules.install(listed, self.env, self.progress.append, timeout_s)

    def version(self, name: str) -> str:
        try:
            return str(json.loads((self.directory / "node_modules" / name / "package.json").read_text())["version"])
        except OSError:
            return ""

    def listed(self) -> dict[str, str]:
        return dict(json.loads((self.directory / "package.json").read_text()).get("dependencies", {}))

    def picture(self) -> dict[str, str]:
        """Every file below the user directory that an install may touch, with what it says."""
        paths = [self.directory / "package.json", self.directory / "package-lock.json"]
        paths += [path for path in (self.directory / "node_modules").rglob("*") if path.is_file()]
        return {str(path.relative_to(self.directory)): path.read_text() for path in paths if path.exists()}

    def stages(self) -> list[str]:
        return [path.name for path in (self.directory / "launcher" / "modules").glob("stage-*")]

    def npm(self) -> int:
        """The npm that runs now."""
        return int(json.loads((self.directory / "launcher" / "modules" / "npm.json").read_text())[0]["pid"])

    def command(self, *arguments: str, timeout_s: float = 8) -> list[str]:
        """The shim's command line, with a short time limit."""
        program = self.modules._program(timeout_s)
        return [*program, *arguments]


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


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mount)], check=True)
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


async def test_a_full_disk_restores_what_ran(small_disk: Path, tmp_path: Path) -> None:
    async with registry() as shop:
        shop.add("dep-a", "1.0.0")
        shop.add("large", "1.0.0", description="x" * 3_000_000)
        bench = Bench(small_disk / "instance", shop)
        bench.env["npm_config_cache"] = str(tmp_path / "cache")
        await bench.install(dep_a="1.0.0")
        before = bench.picture()
        with pytest.raises(InstallFailed) as failed:
            await bench.install(dep_a="1.0.0", large="1.0.0")
        assert failed.value.disk, str(failed.value)
        assert bench.picture() == before and not bench.stages()


async def test_a_cut_at_any_rename_is_brought_to_its_end(bench: Bench) -> None:
    """The swap is begun again from each of its steps."""

    await bench.install(node_red_contrib_x="1.0.0")
    yard = Yard(bench.directory)
    aside = bench.directory.parent / "aside"
    shutil.copytree(bench.directory, aside, symlinks=True)
    steps: list[str] = []

    def run(stop_after: int) -> None:
        """Commit a stage without modules; the power fails after so many calls that change something."""
        shutil.rmtree(bench.directory)
        shutil.copytree(aside, bench.directory, symlinks=True)
        stage = yard.stage()
        (stage / "node_modules" / "new.js").write_text("new")
        document: dict[str, Any] = {"name": "n", "dependencies": {"y": "2"}}
        write_package(stage / "package.json", document)
        steps.clear()

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            if armed and event in ("os.rename", "os.remove", "ctypes.dlsym"):
                steps.append(event)
                if len(steps) > stop_after:
                    raise KeyboardInterrupt

        hooks.append(hook)
        armed.append(True)
        try:
            yard.commit(stage)
        except KeyboardInterrupt:
            pass
        finally:
            armed.clear()
            hooks.clear()

    armed: list[bool] = []
    hooks: list[Any] = []
    sys.addaudithook(lambda event, arguments: hooks[0](event, arguments) if hooks else None)
    whole = 0
    for stop_after in range(40):
        await asyncio.to_thread(run, stop_after)
        cut = len(steps) > stop_after
        await bench.modules.recover(bench.env)
        new = (bench.directory / "node_modules" / "new.js").exists()
        assert bench.listed() == ({"y": "2"} if new else {"node-red-contrib-x": "1.0.0"}), (stop_after, steps)
        assert bench.version("node-red-contrib-x") == "1.0.0"
        assert not yard.left_over()
        whole += new
        if not cut:
            break
    assert whole > 1 and not cut, "it was cut both before and after the point of no return"


async def test_whatever_lies_in_the_place_of_a_stage_goes_with_the_first_look(bench: Bench) -> None:
    """A file or a link of that name, which a flow can make, was looked for and left there at each start."""
    yard = Yard(bench.directory)
    outside = bench.directory.parent / "outside"
    (outside / "kept").mkdir(parents=True)
    yard.root.mkdir(parents=True)
    (yard.root / "stage-file").touch()
    (yard.root / "stage-link").symlink_to(outside)
    (yard.root / "stage-pipe").mkdir()
    os.mkfifo(yard.root / "stage-pipe" / "pipe")
    closed = yard.root / "stage-closed" / "inner"
    closed.mkdir(parents=True)
    (closed / "file").touch()
    closed.chmod(0o500)
    assert bench.modules.cut_off()
    await bench.modules.recover(bench.env)
    assert not bench.modules.cut_off() and not bench.stages() and (outside / "kept").exists()


@pytest.mark.parametrize(("reads", "status"), [(True, 3), (False, EXIT_TIMEOUT)])
async def test_a_script_that_goes_on_writing_holds_up_npms_end_for_no_long(
    bench: Bench, reads: bool, status: int
) -> None:
    """npm has ended, and a grandchild in a session of its own floods the pipe that it inherited, while whoever asked
    reads slowly, or not at all."""
    npm = bench.directory.parent / "npm.sh"
    flood = f"{sys.executable} -c 'import os"
    flood += '\nos.write(1, bytes(4096)); open("pid", "w").write(str(os.getpid()))'
    flood += "\nwhile True: os.write(1, bytes(1 << 20))'"
    npm.write_text(f'cd "$HOME"; setsid {flood} & until [ -s pid ]; do sleep 0.01; done; exit 3')
    words = bench.command("--", "install", "dep-a")
    for name, value in (("--node", "/bin/sh"), ("--npm", str(npm)), ("--timeout", "3")):
        words[words.index(name) + 1] = value
    ours, theirs = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *words, cwd=bench.directory, env=bench.env, stdout=theirs, stderr=subprocess.DEVNULL
    )
    os.close(theirs)
    reader = asyncio.create_task(asyncio.to_thread(read_slowly, ours)) if reads else None
    try:
        async with asyncio.timeout(20):
            assert await process.wait() == status
    finally:
        if process.returncode is None:
            process.kill()
        os.kill(int((bench.directory / "pid").read_text()), signal.SIGKILL)
        await process.wait()
        if reader is not None:
            await reader
        os.close(ours)


def read_slowly(fd: int) -> None:
    """Never as fast as it is written."""
    while os.read(fd, 4096):
        time.sleep(0.001)


def test_the_cache_of_npm_is_begun_anew_when_it_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "_cacache" / "content"
    cache.mkdir(parents=True)
    (cache / "one").write_bytes(b"x" * 1000)
    monkeypatch.setattr(install, "CACHE_BYTES", 1000)
    install._bound_cache(tmp_path / "_cacache")
    assert cache.exists()
    (cache / "two").write_bytes(b"x")
    install._bound_cache(tmp_path / "_cacache")
    assert not cache.exists()
