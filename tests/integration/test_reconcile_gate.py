"""The gate with real sockets: browsers are let through to a port that the instance itself listens on, only then."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from appliance.events import Bus
from appliance.model import Desired, LauncherReport, LauncherState, Observation, Phase
from appliance.reconcile.gate import SocketGate
from appliance.reconcile.observed import Observed
from appliance.tasks import Tasks
from tests.contract.rig import spec_of
from tests.descriptors import left
from tests.support import eventually, free_port

LISTEN = "import socket,sys,time; s=socket.create_server(('127.0.0.1', int(sys.argv[1]))); print('on', flush=True); time.sleep(60)"  # noqa: E501
ID = "a" * 8


class Fixture:
    def __init__(self, home: Path, port: int, hold_s: float = 60) -> None:
        self.tasks = Tasks()
        self.observed = Observed(Bus(), lambda: datetime.now(UTC))
        self.gate = SocketGate(home / "up", self.observed, self.tasks, hold_s)
        self.gate.open()
        self.observed.connect(self.gate, lambda _: None)
        self.observed.know(replace(spec_of(ID), node_red_port=port))
        # This test plays the launcher: what it starts are its children.
        self.observed.seen(Observation(id=ID, phase=Phase.UP, pid=os.getpid(), generation=1))

    def say(
        self, node_red_pid: int | None, state: LauncherState = LauncherState.RUNNING, *, holding: bool = False
    ) -> None:
        now = datetime.now(UTC)
        self.observed.report(ID, LauncherReport(state, 0, os.getpid(), node_red_pid, 1, {}, "", "", now, holding))

    @property
    def state(self) -> str:
        return self.observed.meta(ID, Desired.RUNNING).state


@asynccontextmanager
async def listening(port: int) -> AsyncIterator[int]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LISTEN, str(port), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"on\n"
    try:
        yield process.pid
    finally:
        process.kill()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]


async def test_own_port_is_let_through_within_a_tenth_of_a_second(home: Path) -> None:
    port = free_port()
    async with listening(port) as pid:
        fixture = Fixture(home, port)
        began = asyncio.get_running_loop().time()
        fixture.say(pid)
        await eventually(lambda: fixture.state == "running", every_s=0.002)
        took_s = asyncio.get_running_loop().time() - began
        assert fixture.gate.raised() == [ID]
        assert took_s < 1  # the benchmark holds it to 0.1 s on a machine that is not busy
        fixture.say(None, LauncherState.CRASHED)
        assert fixture.gate.raised() == []
        await fixture.tasks.close()


async def test_whoever_is_let_through_stays_so_while_nobody_can_look(home: Path) -> None:
    port = free_port()
    async with listening(port) as pid:
        fixture = Fixture(home, port)
        fixture.say(pid)
        await eventually(lambda: fixture.state == "running")
        with left(0):
            fixture.observed.recheck(ID)
            await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name().startswith("verify")))
            assert fixture.state == "running"
        assert fixture.gate.raised() == [ID]
        await fixture.tasks.close()


async def test_port_of_a_stranger_is_not(home: Path) -> None:
    port = free_port()
    async with listening(free_port()) as pid:
        with socket.create_server(("127.0.0.1", port)):
            fixture = Fixture(home, port)
            fixture.say(pid)
            meta = await eventually(lambda: (m := fixture.observed.meta(ID, Desired.RUNNING)).reason and m)
        assert (meta.state, meta.reason) == ("starting", "port_not_ours")
        assert f"port {port}" in meta.message
        assert fixture.gate.raised() == []
        await fixture.tasks.close()


async def test_late_listener_is_waited_for(home: Path) -> None:
    """The report may be a moment earlier than the kernel's table."""
    port = free_port()
    fixture = Fixture(home, port)
    code = f"import time; time.sleep(0.2); import sys; sys.argv=['', '{port}']; {LISTEN}"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.DEVNULL)
    try:
        fixture.say(process.pid)
        await eventually(lambda: fixture.state == "running")
    finally:
        process.kill()
        await process.wait()
        await fixture.tasks.close()


@asynccontextmanager
async def handed_down(listener: socket.socket) -> AsyncIterator[int]:
    """A child that has the launcher's socket, as Node-RED has."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import time; time.sleep(60)", pass_fds=(listener.fileno(),)
    )
    try:
        yield process.pid
    finally:
        process.kill()
        await process.wait()


async def test_clients_wait_while_the_launcher_holds_its_socket(home: Path) -> None:
    """A restart: one Node-RED goes, the next one comes, the flag is up all the time."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fixture = Fixture(home, listener.getsockname()[1])
        flags: list[bool] = []
        fixture.observed._bus.listen(lambda _: flags.append(fixture.gate.raised() == [ID]))
        async with handed_down(listener) as first:
            fixture.say(first)
            await eventually(lambda: fixture.state == "running")
            flags.clear()
            fixture.say(first, LauncherState.LOADING, holding=True)
        fixture.say(None, LauncherState.STARTING, holding=True)
        await eventually(lambda: (e := fixture.observed.entry(ID)) and e.passes)
        assert (fixture.state, fixture.gate.raised()) == ("starting", [ID])
        async with handed_down(listener) as second:
            fixture.say(second)
            assert fixture.gate.raised() == [ID]
            await eventually(lambda: fixture.state == "running")
        assert flags
        assert all(flags)
        await fixture.tasks.close()


async def test_nobody_waits_for_ever(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fixture = Fixture(home, listener.getsockname()[1], hold_s=0.3)
        async with handed_down(listener) as pid:
            fixture.say(pid)
            await eventually(lambda: fixture.state == "running")
        fixture.say(None, LauncherState.STARTING, holding=True)
        await eventually(lambda: fixture.gate.raised() == [])
        meta = fixture.observed.meta(ID, Desired.RUNNING)
        assert meta.reason == "held_too_long"
        assert "within 0 s" in meta.message
        fixture.say(None, LauncherState.STARTING, holding=True)  # says the same again
        await asyncio.sleep(0.1)
        assert fixture.gate.raised() == []
        async with handed_down(listener) as pid:
            fixture.say(pid)
            await eventually(lambda: fixture.state == "running")
        assert fixture.gate.raised() == [ID]
        await fixture.tasks.close()


async def test_a_launcher_cannot_hold_the_port_of_a_stranger(home: Path) -> None:
    """It says that it holds it, but somebody else listens there."""
    port = free_port()
    async with listening(port):
        fixture = Fixture(home, port)
        fixture.say(None, LauncherState.STARTING, holding=True)
        await eventually(lambda: (e := fixture.observed.entry(ID)) and e.refused)
        assert fixture.gate.raised() == []
        await fixture.tasks.close()


async def test_a_stranger_that_takes_the_port_is_shut_out(home: Path) -> None:
    """The socket that was proven is gone, another one is there: no trust in the number of a port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        fixture = Fixture(home, port)
        async with handed_down(listener) as pid:
            fixture.say(pid)
            await eventually(lambda: fixture.state == "running")
    async with listening(port):
        fixture.say(None, LauncherState.STARTING, holding=True)
        await eventually(lambda: fixture.gate.raised() == [])
        await eventually(lambda: (e := fixture.observed.entry(ID)) and e.refused)
        assert fixture.gate.raised() == []
    await fixture.tasks.close()


async def test_a_new_appliance_shuts_nobody_out_to_find_out_again(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        async with handed_down(listener) as pid:
            before = Fixture(home, port)
            before.say(pid)
            await eventually(lambda: before.state == "running")
            await before.tasks.close()
            after = Fixture(home, port)
            flag = (home / "up" / ID).stat()
            after.say(pid)
            assert after.gate.raised() == [ID]
            await eventually(lambda: after.state == "running")
            assert (home / "up" / ID).stat().st_ino == flag.st_ino
            await after.tasks.close()


async def test_a_flag_of_another_launcher_or_without_proof_is_lowered_first(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for content in ("", "1 2\n", "x"):
            (home / "up").mkdir(parents=True, exist_ok=True)
            (home / "up" / ID).write_text(content)
            fixture = Fixture(home, listener.getsockname()[1])
            async with handed_down(listener) as pid:
                fixture.say(pid)
                assert fixture.gate.raised() == []
                await eventually(lambda of=fixture: of.state == "running")  # type: ignore[misc]
            await fixture.tasks.close()


async def test_flag_of_a_forgotten_instance_goes(home: Path) -> None:
    port = free_port()
    async with listening(port) as pid:
        fixture = Fixture(home, port)
        fixture.say(pid)
        await eventually(lambda: fixture.state == "running")
        fixture.observed.forget(ID)
        assert fixture.gate.raised() == []
        await fixture.tasks.close()
