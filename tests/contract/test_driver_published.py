"""The `child` placer with a launcher that is not ours: what it gets, what it must not, how it is known again."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from msgspec.structs import replace

from appliance.drivers.base import PlacementFailed
from appliance.drivers.child import Child
from appliance.drivers.localfs import LocalFs
from appliance.drivers.published import Published
from appliance.model import InstanceRef, InstanceSpec, Phase, RunGrant, StackRef
from tests.contract.rig import GRACE, A, driver_on, silent, spec_of
from tests.support import eventually

BROKER = ("mqtt://here:1883", "project:team-7:a", "broker-secret")
GRANT = RunGrant("token-of-a-run", "ffp_client", "client-secret", "credential-secret", "team-7", *BROKER)
SECRETS = ("token-of-a-run", "client-secret", "credential-secret")
PROGRAM = (
    "import json, os, signal, sys\nopen('seen.json', 'w').write(json.dumps({'argv': sys.argv, 'env': dict(os.environ),"
)
PROGRAM += " 'umask': os.umask(0)}))\nsignal.pause()\n"


async def granted(_: InstanceSpec) -> str:
    return msgspec.json.encode(GRANT).decode()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "h"
    for process in psutil.process_iter(["environ"]):
        if str(tmp_path) in (process.info["environ"] or {}).get("HOME", ""):
            process.kill()


def _program_in(home: Path) -> Path:
    home.mkdir(exist_ok=True)
    (home / "launcher.py").write_text(PROGRAM)
    return home / "launcher.py"


@asynccontextmanager
async def published_on(home: Path, script: str = "") -> AsyncIterator[LocalFs]:
    """As `driver_on`, with a program that is started as the published launcher is."""
    file = _program_in(home)
    executor = ThreadPoolExecutor(4)
    program = Published((sys.executable, script or str(file)), {"PATH": "/usr/bin:/bin"}, "http://127.0.0.1:3000")
    driver = LocalFs(
        home / "instances", Child(home / "instances", program, granted, executor), executor, replace_grace=GRACE
    )
    await driver.open()
    try:
        yield driver
    finally:
        await driver.close()
        executor.shutdown()


def spec(generation: int = 1) -> InstanceSpec:
    stack = StackRef("s", "/box/runtimes/node-24/bin/node", "/box/stacks/s")
    return replace(spec_of(generation=generation), launcher_port=13080, stack=stack, memory_mb=256)


async def seen_by_program(home: Path) -> dict[str, Any]:
    file = home / "instances" / A / "seen.json"
    text = await eventually(lambda: file.exists() and file.read_text())
    return dict(json.loads(str(text)))


async def test_it_gets_the_environment_of_the_reference_and_no_secret_in_its_command_line(home: Path) -> None:
    async with published_on(home) as driver:
        await driver.ensure(spec(), report=silent)
        seen = await seen_by_program(home)
    directory, env = home / "instances" / A, seen["env"]
    wanted = ["--port", "13080", "--forgeURL", "http://127.0.0.1:3000", "--project", A]
    assert seen["argv"][1:] == wanted and not any(secret in " ".join(seen["argv"]) for secret in SECRETS)
    assert (env["FORGE_PROJECT_TOKEN"], env["FORGE_CLIENT_SECRET"], env["FORGE_NR_SECRET"]) == SECRETS
    assert (env["FORGE_CLIENT_ID"], env["FORGE_TEAM_ID"], env["FORGE_PROJECT_ID"]) == ("ffp_client", "team-7", A)
    assert (env["FORGE_NR_PATH"], env["FORGE_MEMORY_LIMIT"]) == ("/box/stacks/s", "256")
    assert env["HOME"] == str(directory) and "FORGE_LICENSE_TYPE" not in env
    names = ("FORGE_BROKER_URL", "FORGE_BROKER_USERNAME", "FORGE_BROKER_PASSWORD")
    assert tuple(env[name] for name in names) == BROKER
    assert seen["umask"] == 0o077, "the settings file it writes holds its token"
    record = (directory / "launcher" / "placement.json").read_text()
    assert not any(secret in record for secret in SECRETS)


async def test_its_directory_is_as_it_expects_it_and_what_is_there_stays(home: Path) -> None:
    directory = home / "instances" / A
    async with published_on(home) as driver:
        await driver.ensure(spec(), report=silent)
        assert json.loads((directory / "package.json").read_text())["dependencies"] == {}
        assert (directory / "storage").is_dir()
        (directory / "package.json").write_text('{"dependencies": {"left-hand": "2.3.4"}}')
        await driver.ensure(spec(generation=2), report=silent)
        assert "left-hand" in (directory / "package.json").read_text()
        (directory / "package.json").write_text("{")  # it would end at once, for ever
        await driver.ensure(spec(generation=3), report=silent)
        assert json.loads((directory / "package.json").read_text())["dependencies"] == {}
    check = partial(subprocess.run, ["sh", "-n", directory / "launcher/npm/npm"], check=False)
    assert (await asyncio.to_thread(check)).returncode == 0
    assert "/box/runtimes/node-24/lib/node_modules/npm/bin/npm-cli.js" in (directory / "launcher/npm/npm").read_text()


async def test_one_that_is_not_installed_is_told_with_the_next_step(home: Path) -> None:
    async with published_on(home, script=str(home / "nowhere.js")) as driver:
        with pytest.raises(PlacementFailed, match="weir launcher install") as told:
            await driver.ensure(spec(), report=silent)
    assert told.value.reason == "launcher_missing"


async def test_killed_between_spawn_and_record_it_is_found_by_its_arguments(home: Path) -> None:
    async with published_on(home) as driver:
        await driver.ensure(spec(generation=4), report=silent)
        await seen_by_program(home)
        pid = (await driver.observe(InstanceRef(A))).pid
    record = home / "instances" / A / "launcher" / "placement.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "identity": None}))
    async with published_on(home) as driver:
        seen = await driver.observe(InstanceRef(A))
        assert (seen.phase, seen.pid, seen.generation) == (Phase.UP, pid, 4)
        await driver.stop(InstanceRef(A), grace=GRACE)
        assert pid is not None and not psutil.pid_exists(pid)


async def test_a_launcher_of_the_other_kind_is_replaced_though_its_generation_is_right(home: Path) -> None:
    async with published_on(home) as driver:
        placed = await driver.ensure(spec(), report=silent)
    async with driver_on(home) as driver:
        seen = await driver.observe(InstanceRef(A))
        assert seen.phase is Phase.UP and seen.generation != 1
        again = await driver.ensure(spec(), report=silent)
        assert again.generation == 1 and again.pid != placed.pid
        assert placed.pid is not None and not psutil.pid_exists(placed.pid)
        await driver.stop(InstanceRef(A), grace=GRACE)
