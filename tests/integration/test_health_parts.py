"""Stacks, ports, the web server, certificates, restarts, instances: really broken, told, mended, gone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from appliance import doctor
from appliance.config import Config, Home, Listen
from appliance.model import LauncherReport, LauncherState, Observation, Phase
from appliance.schema.box import Problem
from appliance.services.health import certificate, restarts
from appliance.services.health.front_door import SILENT_S, answers
from appliance.services.health.instances import FAILING_S
from appliance.services.health.restarts import Starts
from appliance.system import stack_files, stacks, tls, vitals
from appliance.system.tls import AcceptedName
from tests.service_rig import Rig, service_rig
from tests.support import stack_cache

pytestmark = pytest.mark.real


@pytest.fixture
async def rig(home: Path) -> AsyncIterator[Rig]:
    async with service_rig(home, config=own_ports()) as rig:
        (home / "run").mkdir()
        async with web_server(home / "run" / "nginx.sock"):
            yield rig


def own_ports() -> Config:
    """Ports that no box of this machine has: who listens is really looked at."""
    return Config(listen=Listen(node_red_base=free(), launcher_base=free()))


@contextlib.asynccontextmanager
async def web_server(path: Path) -> AsyncIterator[asyncio.Server]:
    """Answers as nginx does on its own socket."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nv1")
        writer.close()

    server = await asyncio.start_unix_server(answer, path)  # takes the place of an old one's file
    try:
        yield server
    finally:
        server.close()


async def told(rig: Rig, *, after_s: float = 0) -> dict[str, Problem]:
    rig.clock.forward(seconds=after_s)
    await rig.health.examine()
    return {each.key: each for each in await rig.box.problems(rig.admin)}


# -- stacks ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The built stack and its Node.js, copied so that they can be broken."""
    home, cache = Home(tmp_path_factory.mktemp("stack")), stack_cache()
    shutil.copytree(cache / "stacks", home.stacks, symlinks=True)
    for runtime in (cache / "runtimes").glob("node-*"):
        (home.runtimes / runtime.name / "bin").mkdir(parents=True)
        shutil.copy(runtime / "bin" / "node", home.runtimes / runtime.name / "bin" / "node")
    directory = home.stacks / stacks.DEFAULT
    directory.chmod(0o755)
    stack_files.record(directory)
    return home


@contextlib.contextmanager
def moved(path: Path) -> Iterator[None]:
    """Not there meanwhile."""
    path.parent.chmod(0o755)
    away = path.with_name(f"{path.name}.away")
    path.rename(away)
    try:
        yield
    finally:
        away.rename(path)


async def test_a_stack_whose_files_were_touched(rig: Rig, copied: Home) -> None:
    for shared in ("stacks", "runtimes"):
        os.symlink(copied.root / shared, rig.context.home.root / shared)
    await rig.create()
    await told(rig)  # the first look leaves a box that has just started alone
    assert await told(rig) == {}
    express = copied.stacks / stacks.DEFAULT / "node_modules" / "express"
    with moved(express):
        problem = (await told(rig))[f"stack_broken:{stacks.DEFAULT}"]
        assert "packages are missing: express" in problem.cause and "line-1" in problem.evidence
        assert f"weir stack build {stacks.DEFAULT}" in problem.next_step
        found = [each for each in doctor.examine(copied) if each.key == f"stack_broken:{stacks.DEFAULT}"]
        assert found and not found[0].ok
    assert await told(rig) == {}
    changed = express / "package.json"
    before, mode = changed.read_bytes(), stat.S_IMODE(changed.stat().st_mode)
    changed.chmod(0o644)
    changed.write_bytes(before[:-10])
    assert "changed or incomplete: express" in (await told(rig))[f"stack_broken:{stacks.DEFAULT}"].cause
    changed.write_bytes(before)
    changed.chmod(mode)
    assert await told(rig) == {}


def test_a_node_that_does_not_run(copied: Home) -> None:
    (node,) = copied.runtimes.glob("node-*/bin/node")
    assert stacks.wrong(copied, stacks.DEFAULT) == ""
    with moved(node):
        node.write_text("#!/bin/sh\necho v9.9.9\n")
        node.chmod(0o755)
        assert "is v9.9.9, not v" in stacks.wrong(copied, stacks.DEFAULT)
        node.write_bytes(b"\x7fELF nonsense")
        assert "does not run" in stacks.wrong(copied, stacks.DEFAULT)
        node.chmod(0o644)
        assert "does not run" in stacks.wrong(copied, stacks.DEFAULT)
    assert stacks.wrong(copied, stacks.DEFAULT) == ""


def test_a_stack_of_an_earlier_version_has_its_packages_counted(copied: Home) -> None:
    directory = copied.stacks / stacks.DEFAULT
    with moved(directory / stack_files.MANIFEST):
        assert stacks.wrong(copied, stacks.DEFAULT) == ""
        with moved(directory / "node_modules" / "express"):
            assert "missing: express" in stacks.wrong(copied, stacks.DEFAULT)


# -- ports -------------------------------------------------------------------------------------------


async def test_a_program_on_a_port_of_an_instance_is_named(home: Path) -> None:
    async with service_rig(home, config=own_ports()) as rig:
        made = await rig.create()
        port = made.ports["node_red"]
        with squatter(port) as pid:
            rig.observed.know(await rig.spec(made.id))
            rig.observed.seen(Observation(id=made.id, phase=Phase.EXITED, reason="port_in_use", message="port in use"))
            assert await told(rig) == {}, "once is no problem"
            problem = (await told(rig, after_s=FAILING_S))[f"instance_port:{made.id}"]
            assert f"(pid {pid}) listens on port {port}" in problem.cause
            assert problem.about == made.id and str(port) in problem.title
        assert set(await told(rig)) == {f"instance_failing:{made.id}"}
        await rig.instances.suspend(rig.admin, made.id)
        rig.observed.know(await rig.spec(made.id))
        rig.observed.seen(Observation(id=made.id, phase=Phase.ABSENT))
        assert await told(rig) == {}


def test_ports_of_a_box_that_is_down(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.state.mkdir()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (home.state / "ports.toml").write_text(f"port = {port}\nhttps = {free()}\nhttp = {free()}\n")
        found = {each.key: each for each in doctor.examine(home)}
        assert f"pid {os.getpid()}" in found[f"port_taken:{port}"].detail
    assert f"port_taken:{port}" not in {each.key for each in doctor.examine(home)}


def free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def squatter(port: int) -> Iterator[int]:
    """Another program that listens there."""
    code = f"import socket; s=socket.create_server(('127.0.0.1', {port})); print('up', flush=True); s.accept()"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None and process.stdout.readline() == b"up\n"
        yield process.pid
    finally:
        process.kill()
        process.communicate()


def test_listeners_of_both_families_are_seen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as four:
        port = four.getsockname()[1]
        (found,) = vitals.listeners([port])
        assert (found.port, found.pid) == (port, os.getpid())
        assert str(found).endswith(f"(pid {os.getpid()})")
    assert vitals.listeners([port]) == []
    if socket.has_dualstack_ipv6():
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as six:
            assert vitals.listeners([six.getsockname()[1]])[0].pid == os.getpid()


# -- the web server ----------------------------------------------------------------------------------


async def test_a_web_server_that_is_silent(home: Path) -> None:
    async with service_rig(home) as rig:
        (home / "run").mkdir()
        path = home / "run" / "nginx.sock"
        async with web_server(path):
            assert await answers(path)
            assert await told(rig) == {}
        assert await told(rig, after_s=5) == {}, "one that is being started anew is no problem"
        problem = (await told(rig, after_s=SILENT_S))["nginx_silent"]
        assert "nginx.log" in problem.next_step
        async with web_server(path):
            assert await told(rig) == {}


# -- certificates ------------------------------------------------------------------------------------


async def test_a_certificate_that_is_not_renewed(rig: Rig) -> None:
    home = rig.context.home
    made = tls.ensure(home, [AcceptedName("box.test")], now=rig.clock())
    assert await told(rig) == {}
    days = (tls.LEAF_VALID - certificate.SOON).days + 1
    rig.clock.forward(days=days)
    problem = (await told(rig))["certificate_ending:box.crt"]
    assert "days left" in problem.evidence and problem.title.endswith("ends soon")
    rig.clock.forward(days=30)
    assert (await told(rig))["certificate_ending:box.crt"].title.endswith("has ended")
    tls.ensure(home, [AcceptedName("box.test")], now=rig.clock())
    assert await told(rig) == {}
    made.cert.write_text("broken")
    assert await told(rig) == {}, "a broken one is made anew by the proxy, which tells when it can't"


# -- restarts ----------------------------------------------------------------------------------------


async def test_sudden_ends_in_a_row(rig: Rig) -> None:
    home = rig.context.home
    for _ in range(restarts.TOO_MANY):
        orderly = Starts(home, rig.clock)
        orderly.begin()
        orderly.end()
    for number in range(restarts.TOO_MANY + 1):
        assert await told(rig) == {}, f"after {number} starts"
        Starts(home, rig.clock).begin()
        rig.clock.forward(seconds=30)
    problem = (await told(rig))["appliance_restarts"]
    assert "3 sudden ends" in problem.evidence and "appliance.log" in problem.next_step
    assert await told(rig, after_s=restarts.WINDOW.total_seconds()) == {}
    for _ in range(60):
        Starts(home, rig.clock).begin()
    assert len(Starts(home, rig.clock).noted()) <= 20
    (home.state / "starts.json").write_text("{nonsense")
    assert Starts(home, rig.clock).noted() == []


def test_a_box_that_is_down_after_sudden_ends(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.state.mkdir()
    clock = SimpleNamespace(now=doctor.datetime.now(doctor.UTC) - timedelta(seconds=60))
    for _ in range(restarts.TOO_MANY):
        Starts(home, lambda: clock.now).begin()
    assert "appliance_restarts" in {each.key for each in doctor.examine(home)}


# -- instances ---------------------------------------------------------------------------------------


async def test_an_instance_in_safe_mode_looks_well_and_is_not(rig: Rig) -> None:
    made = await rig.create()
    pid = os.getpid()
    rig.observed.know(await rig.spec(made.id))
    rig.observed.seen(Observation(id=made.id, phase=Phase.UP, pid=pid, generation=1))
    report(rig, made.id, pid, LauncherState.SAFE, "crash_loop", "five crashes in a row: flows are stopped")
    rig.observed.serving(made.id, pid)
    assert (await rig.instances.get(made.id)).meta.state == "safe"
    problem = (await told(rig))[f"instance_safe:{made.id}"]
    assert problem.about == made.id and "weir instance restart line-1" in problem.next_step
    report(rig, made.id, pid, LauncherState.RUNNING, "", "")
    assert await told(rig) == {}


async def test_an_instance_that_crashes_once_is_none_of_the_boxs_problems(rig: Rig) -> None:
    made = await rig.create()
    pid = os.getpid()
    rig.observed.know(await rig.spec(made.id))
    rig.observed.seen(Observation(id=made.id, phase=Phase.UP, pid=pid, generation=1))
    for state, after_s, wrong in (
        (LauncherState.CRASHED, 0, False),
        (LauncherState.STARTING, 2, False),
        (LauncherState.CRASHED, 10, False),
        (LauncherState.STARTING, 2, False),
        (LauncherState.CRASHED, 20, True),  # it fails for half a minute, with starts in between
    ):
        report(rig, made.id, pid, state, "crashed", "Node-RED ended with status 1")
        assert (f"instance_failing:{made.id}" in await told(rig, after_s=after_s)) is wrong, (state, after_s)
    problem = (await told(rig))[f"instance_failing:{made.id}"]
    assert problem.cause == "Node-RED ended with status 1" and "weir instance logs line-1" in problem.next_step


def report(rig: Rig, instance_id: str, pid: int, state: LauncherState, reason: str, message: str) -> None:
    rig.observed.report(
        instance_id,
        LauncherReport(
            state=state,
            seq=0,
            pid=pid,
            node_red_pid=pid,
            command_generation=0,
            versions={},
            reason=reason,
            message=message,
            at=rig.clock(),
        ),
    )
