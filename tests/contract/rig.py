"""How the contract suite meets a driver: one rig for each, with launchers that behave as told."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil

from appliance.drivers.base import Driver
from appliance.drivers.boot_socket import unit_of_process
from appliance.drivers.child import Child
from appliance.drivers.launch_records import unit_name
from appliance.drivers.localfs import LocalFs
from appliance.drivers.program import Command
from appliance.drivers.units import Units
from appliance.model import Desired, InstanceRef, InstanceSpec, Observation, Phase, StackRef
from appliance.system.units import Systemctl
from tests.support import eventually

FAKE = Path(__file__).with_name("fake_launcher.py")
GRACE = timedelta(seconds=0.3)
SECRET = "one-use-ticket-of-this-test"  # noqa: S105
LAUNCH, BOOT_SOCKET = Path("/var/lib/weir/launch"), Path("/run/weir/boot.sock")  # as in the unit
DATA = Path("/var/lib/weir-instances")
A = "0b0e7f0a-0000-4000-8000-00000000000a"
B = "0b0e7f0a-0000-4000-8000-00000000000b"

Mint = Callable[[InstanceSpec], Awaitable[str]]


def spec_of(instance_id: str = A, *, generation: int = 1, stack: bool = True) -> InstanceSpec:
    return InstanceSpec(
        id=instance_id,
        name="a",
        team_id="t",
        desired=Desired.RUNNING,
        generation=generation,
        command_generation=1,
        number=0,
        node_red_port=1,
        launcher_port=2,
        public_port=3,
        stack=StackRef("s", "/bin/node", "/stack") if stack else None,
        stack_name="s",
    )


async def minted(_: InstanceSpec) -> str:
    return SECRET


def silent(step: str, fraction: float) -> None:
    """A report that nobody reads."""


@asynccontextmanager
async def driver_on(home: Path, behaviour: str = "good", mint: Mint = minted) -> AsyncIterator[LocalFs]:
    """A `localfs` driver with the `child` placer and an empty memory on this directory. Launchers stay when it is
    closed, as they should."""
    instances = home / "instances"
    executor = ThreadPoolExecutor(4)
    command = Command((sys.executable, "-I", str(FAKE), behaviour), {"PATH": "/usr/bin:/bin"}, "http://127.0.0.1:1")
    driver = LocalFs(instances, Child(instances, command, mint, executor), executor, replace_grace=GRACE)
    await driver.open()
    try:
        yield driver
    finally:
        await driver.close()
        executor.shutdown()


class Rig(ABC):
    """A driver under test, and how to look at what it placed without asking it."""

    @abstractmethod
    def driver_on(
        self, home: Path, behaviour: str = "good", mint: Mint = minted
    ) -> AbstractAsyncContextManager[Driver]:
        """A driver with an empty memory on this directory, whose launchers behave so."""

    @abstractmethod
    def launchers(self, home: Path) -> list[int]:
        """Pids of the living launchers of this directory."""

    @abstractmethod
    def strays(self, home: Path) -> list[int]:
        """Pids of what launchers of this directory left behind or started."""

    @abstractmethod
    def data(self, home: Path, instance_id: str = A) -> Path:
        """The instance's directory."""

    @abstractmethod
    def record(self, home: Path, instance_id: str = A) -> Path:
        """Where it is written down what was placed."""

    def kill(self, seen: Observation) -> None:
        """End a launcher suddenly."""
        assert seen.pid is not None
        os.kill(seen.pid, signal.SIGKILL)


class ChildRig(Rig):
    """`localfs` with the `child` placer."""

    def driver_on(
        self, home: Path, behaviour: str = "good", mint: Mint = minted
    ) -> AbstractAsyncContextManager[Driver]:
        return driver_on(home, behaviour, mint)

    def launchers(self, home: Path) -> list[int]:
        return [pid for pid, line in _lines(home) if str(FAKE) in line]

    def strays(self, home: Path) -> list[int]:
        return [pid for pid, line in _lines(home) if str(FAKE) not in line]

    def data(self, home: Path, instance_id: str = A) -> Path:
        return home / "instances" / instance_id

    def record(self, home: Path, instance_id: str = A) -> Path:
        return self.data(home, instance_id) / "launcher" / "placement.json"


class UnitsRig(Rig):
    """`localfs` with the `units` placer, as root on a machine with systemd and all of Weir's own in place. systemd
    is asked as Weir's account, so that polkit has its say."""

    @asynccontextmanager
    async def _driver(self, behaviour: str, mint: Mint) -> AsyncIterator[LocalFs]:
        async def named(instance_id: str, generation: int) -> str:
            return await mint(spec_of(instance_id, generation=generation))

        executor = ThreadPoolExecutor(4)
        command = Command((sys.executable, "-I", str(FAKE), behaviour), {"PATH": "/usr/bin:/bin"}, "http://127.0.0.1:1")
        systemctl = Systemctl(("setpriv", "--reuid=_weir", "--regid=_weir", "--init-groups"))
        units = Units(LAUNCH, BOOT_SOCKET, command, named, executor, systemctl=systemctl)
        driver = LocalFs(LAUNCH, units, executor, replace_grace=GRACE)
        await driver.open()
        try:
            yield driver
        finally:
            await driver.close()
            executor.shutdown()

    def driver_on(
        self, home: Path, behaviour: str = "good", mint: Mint = minted
    ) -> AbstractAsyncContextManager[Driver]:
        return self._driver(behaviour, mint)

    def launchers(self, home: Path) -> list[int]:
        return [pid for pid, line in _in_units() if str(FAKE) in line or "--unit" in line]

    def strays(self, home: Path) -> list[int]:
        return [pid for pid, line in _in_units() if str(FAKE) not in line and "--unit" not in line]

    def data(self, home: Path, instance_id: str = A) -> Path:
        return DATA / unit_name(instance_id)

    def record(self, home: Path, instance_id: str = A) -> Path:
        return LAUNCH / f"{unit_name(instance_id)}.json"


def _in_units() -> list[tuple[int, list[str]]]:
    every = [(process.pid, process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    return [(pid, line) for pid, line in every if unit_of_process(pid, "weir-launcher") is not None]


def _lines(home: Path) -> list[tuple[int, list[str]]]:
    every = [(process.pid, process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    return [(pid, line) for pid, line in every if any(str(home) in word for word in line)]


RIGS: dict[str, Rig] = {"child": ChildRig()}
if os.environ.get("WEIR_TEST_UNITS"):  # said by tests/appliance, in a machine of its own
    RIGS = {"units": UnitsRig()}


async def seen_by_fake(home: Path, instance_id: str = A) -> dict[str, Any]:
    """What the fake launcher wrote down once it was ready."""
    files = [rig.data(home, instance_id) / "seen.json" for rig in RIGS.values()]
    text = await eventually(lambda: next((f.read_text() for f in files if f.exists()), ""), what="the launcher ran")
    return dict(json.loads(text))


def tree_of(pid: int) -> set[int]:
    return {pid, *(p.pid for p in psutil.Process(pid).children(recursive=True))}


async def gone(pids: set[int], timeout_s: float = 10) -> None:
    def none_left() -> bool:
        return not [p for p in pids if _lives(p)]

    await eventually(none_left, timeout_s)


def _lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


async def in_phase(driver: Driver, phase: Phase, instance_id: str = A) -> Observation:
    """What the driver sees, once that is `phase`."""

    async def look() -> Observation | None:
        seen = await driver.observe(InstanceRef(instance_id))
        return seen if seen.phase is phase else None

    found = await eventually(look, what=f"{instance_id} is {phase}")
    assert found is not None
    return found


async def sweep(home: Path) -> None:
    """End whatever a test placed."""
    for rig in RIGS.values():
        async with rig.driver_on(home) as driver:
            ids = {A, B, *(seen.id for seen in await driver.list())}
            await asyncio.gather(*(driver.remove(InstanceRef(each), keep_data=False) for each in ids))
