"""The box under test, what was asked of it, and the hand that starts a dead appliance again."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
from msgspec import Struct

from appliance.system.files import SingleInstanceLock
from tests.faults import census
from tests.faults.clock import Clock
from tests.faults.disk import Disk
from tests.faults.journal import Journal
from tests.system.box import Box

LONGEST_UP_S = 240.0


class FaultBox(Box):
    """A box that lives by a clock of its own."""

    def __init__(self, home: Path, cache: Path, clock: Clock) -> None:
        self._clock = clock
        super().__init__(home, cache)

    def _run(self, command: list[str], timeout_s: float, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        words = self._clock.command if "up" in command else []
        return super()._run([*words, *command], timeout_s, check=check)


class Instance(Struct, frozen=True):
    id: str
    name: str
    url: str
    ports: dict[str, int]
    talks: bool = False


class World:
    """Everything that a fault or an invariant looks at. `wishes` are those that the box acknowledged, by name; a name
    in `unsure` had a wish whose answer was lost."""

    def __init__(self, box: FaultBox, disk: Disk, clock: Clock, journal: Journal) -> None:
        self.box, self.disk, self.clock, self.journal = box, disk, clock, journal
        self.instances: dict[str, Instance] = {}
        self.wishes: dict[str, str] = {}
        self.unsure: set[str] = set()
        self.frozen: list[psutil.Process] = []
        self.keeper = Keeper(self)
        self.people = ThreadPoolExecutor(max_workers=1, thread_name_prefix="people")

    def census(self) -> census.Census:
        return census.take(self.box.home)

    def appliance(self) -> psutil.Process | None:
        """The living appliance, by its lock; None when it is dead."""
        pid = SingleInstanceLock(self.box.home.joinpath("run", "appliance.lock")).holder()
        try:
            return psutil.Process(pid) if pid else None
        except psutil.NoSuchProcess:
            return None

    def ask(self, method: str, path: str, **rest: Any) -> httpx.Response | None:
        """The API as the account of the box; None when it is away."""
        try:
            with self.box.api() as api:
                return api.request(method, path, **rest)
        except httpx.HTTPError:
            return None

    def thaw(self) -> None:
        """Let everything that stands still go on."""
        for process in [*self.frozen, *self.census().all]:
            try:
                if process.status() == psutil.STATUS_STOPPED:
                    process.resume()
            except psutil.Error:
                continue
        self.frozen.clear()


class Keeper(threading.Thread):
    """Starts the appliance by `up` when it is dead and the pause that the fault asked for is over."""

    def __init__(self, world: World) -> None:
        super().__init__(daemon=True, name="keeper")
        self._world = world
        self._not_before = 0.0
        self.over = threading.Event()
        self.ups: list[float] = []

    def pause(self, seconds: float) -> None:
        self._not_before = time.monotonic() + seconds

    def run(self) -> None:
        while not self.over.wait(0.1):
            if self._world.appliance() is None and time.monotonic() >= self._not_before:
                self._up()

    def _up(self) -> None:
        began = time.monotonic()
        try:
            self._world.box.up(timeout_s=LONGEST_UP_S)
        except AssertionError as error:
            # It may be killed again while it comes up, or find no room. At the end it has to come up.
            said = " / ".join(str(error).splitlines()[-4:])
            self._world.journal.say(f"up failed after {time.monotonic() - began:.1f} s: {said[:400]}")
            self.over.wait(0.5)
        except subprocess.TimeoutExpired:
            self._world.journal.broken(f"'up' did not end within {LONGEST_UP_S:.0f} s")
        else:
            self.ups.append(time.monotonic() - began)
            self._world.journal.say(f"appliance up again after {self.ups[-1]:.1f} s")


def wait_for(check: Callable[[], str], within_s: float, every_s: float = 0.25) -> str:
    """Empty as soon as `check` says nothing is wrong; its last complaint after `within_s`."""
    end = time.monotonic() + within_s
    while (wrong := check()) and time.monotonic() < end:
        time.sleep(every_s)
    return wrong
