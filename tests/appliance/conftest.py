"""Fresh machines with Weir installed by `install.sh`. One installation is kept as a disk; each module boots a copy.

`WEIR_TEST_SNAPSHOT` names a disk that was kept before, to try one module again without installing.
`WEIR_TEST_UNTIL` is a time (seconds since 1970) after which no test begins: those left are skipped and named.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from tests.appliance.machine import SOURCE, install, wait_running
from tests.system.fresh_box import FreshBox

SNAPSHOT = "weir-test"
UNTIL = float(os.environ.get("WEIR_TEST_UNTIL") or "inf")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """A run that must end by a certain time leaves out what it has no time for."""
    if time.time() > UNTIL:
        pytest.skip("no time left in this run (WEIR_TEST_UNTIL)")


@pytest.fixture(scope="session")
def kept_disk() -> str:
    """The name of a disk on which Weir is installed and its first instance has run."""
    if given := os.environ.get("WEIR_TEST_SNAPSHOT"):
        return given
    machine = FreshBox("weirdisk")
    machine.tool("down", check=False)
    machine.tool("up", timeout_s=900)
    try:
        machine.push_checkout(SOURCE)
        begun = time.monotonic()
        install(machine)
        print(f"\nunattended install on a fresh machine: {time.monotonic() - begun:.0f} s")
        wait_running(machine, "first")
        machine.run(f"rm -rf {SOURCE}")
        machine.tool("stop")
        machine.tool("save", SNAPSHOT)
    finally:
        machine.tool("down", check=False)
    return SNAPSHOT


@pytest.fixture(scope="module")
def installed(kept_disk: str, request: pytest.FixtureRequest) -> Iterator[FreshBox]:
    """A machine of its own for the module: installed, booted, its first instance runs."""
    name = request.module.__name__.rpartition("test_")[2].replace("_", "")[:9]
    machine = FreshBox(name)
    machine.tool("down", check=False)
    machine.tool("up", "--from", kept_disk, timeout_s=300)
    try:
        wait_running(machine, "first")
        yield machine
    finally:
        machine.tool("down", check=False)
