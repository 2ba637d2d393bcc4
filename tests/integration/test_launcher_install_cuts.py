"""Installs that are cut, filled up or held up: what ran is brought back, and nothing is left behind."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from launcher import install
from launcher.install import EXIT_TIMEOUT
from launcher.npm import InstallFailed
from launcher.staging import Yard, write_package
from tests.install_bench import Bench
from tests.npm_registry import registry

pytestmark = pytest.mark.real


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with registry() as shop:
        for version in ("1.0.0", "1.0.1"):
            shop.add("node-red-contrib-x", version)
        shop.add("dep-a", "1.0.0")
        yield Bench(tmp_path / "instance", shop)


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
