"""Finds calls that block the event loop: whatever waits for a disk, a process or the clock belongs into a thread."""

from __future__ import annotations

import asyncio
import functools
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support import ROOT

# What may take as long as it likes. (Reading /proc, polling with 0 and unlinking a file may not.)
BLOCKING: list[tuple[Any, str]] = [
    (time, "sleep"),
    (os, "fsync"),
    (os, "fdatasync"),
    (os, "waitpid"),
    (subprocess, "Popen"),
    (subprocess, "run"),
    (shutil, "rmtree"),
    (socket, "getaddrinfo"),
    (socket, "create_connection"),
]
OURS = str(ROOT / "appliance")
TESTS = str(ROOT / "tests")


class Blocked:
    """What our own code called in a thread whose event loop runs."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def watch(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(real)
        def watched(*arguments: Any, **named: Any) -> Any:
            if asyncio._get_running_loop() is not None and (where := _caller()) is not None:
                self.calls.append(f"{name} at {where}")
            return real(*arguments, **named)

        return watched


def _caller() -> str | None:
    """The line of ours that called, None when a test did."""
    frame = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(TESTS):
            return None
        if file.startswith(OURS):
            return f"{file}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return None


@pytest.fixture
def never_blocking(monkeypatch: pytest.MonkeyPatch) -> Iterator[Blocked]:
    """Collects blocking calls of ours; the test fails at its end when there were any."""
    blocked = Blocked()
    for module, name in BLOCKING:
        real = getattr(module, name)
        if isinstance(real, type):  # it is subclassed and asked for: its beginning is what blocks
            monkeypatch.setattr(real, "__init__", blocked.watch(f"{module.__name__}.{name}", real.__init__))
        else:
            monkeypatch.setattr(module, name, blocked.watch(f"{module.__name__}.{name}", real))
    yield blocked
    assert blocked.calls == [], blocked.calls
