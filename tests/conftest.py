"""What every test gets: a clean environment, and nothing left running."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import psutil
import pytest

from tests.blocking import never_blocking
from tests.watchdog import pytest_configure, pytest_exception_interact, pytest_runtest_protocol

__all__ = ["never_blocking", "pytest_configure", "pytest_exception_interact", "pytest_runtest_protocol"]

# A shell starts what it runs in the background with SIGINT ignored, and so would every program that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Properties are about what, not how fast: a busy machine may take its time.
hypothesis.settings.register_profile("weir", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("weir")

SCRUBBED = ("WEIR_", "FORGE_", "SSH_", "NODE_", "TEXTUAL_", "NO_COLOR")
KEPT = ("WEIR_TEST_", "WEIR_FRESH_BOX", "NODE_EXTRA_CA_CERTS")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the developer's own shell decides how a test ends."""
    for name in list(os.environ):
        if name.startswith(SCRUBBED) and not name.startswith(KEPT):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def nothing_left_running(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that leaves a process behind fails and names it; the process is ended."""
    before = {p.pid for p in psutil.Process().children(recursive=True)}
    yield
    left = [p for p in psutil.Process().children(recursive=True) if p.pid not in before and _alive(p)]
    if "shared_processes" in request.fixturenames:
        return
    _, alive = psutil.wait_procs(left, timeout=10)
    names = [_name(p) for p in alive]
    for process in alive:
        process.kill()
    assert not names, f"left running: {names}"


@pytest.fixture(scope="session")
def shared_processes() -> None:
    """Asked for by tests whose module keeps processes over several tests."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty box directory whose socket paths are short enough for a UNIX address."""
    return tmp_path / "h"


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _name(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())[:200]
    except psutil.NoSuchProcess:
        return str(process.pid)
