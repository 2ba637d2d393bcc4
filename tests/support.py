"""What all tests share: waiting for a condition, free ports, the built stack."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from appliance.model import StackRef

T = TypeVar("T")
ROOT = Path(__file__).resolve().parent.parent


async def eventually(
    check: Callable[[], T | Awaitable[T]], timeout_s: float = 10, every_s: float = 0.02, what: str = ""
) -> T:
    """The first true answer of `check`, or AssertionError after `timeout_s`.

    An AssertionError inside `check` means "not yet" and is shown when time is up.
    """
    deadline = time.monotonic() + timeout_s
    last: object = None
    while True:
        try:
            answer = check()
            last = value = await answer if inspect.isawaitable(answer) else answer
            if value:
                return value
        except AssertionError as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what or inspect.getsource(check)!r}; last: {last!r}")
        await asyncio.sleep(every_s)


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def stack_cache() -> Path:
    """A box directory that holds nothing but the built stack, made once and shared by all tests."""
    cache = Path(os.environ.get("WEIR_TEST_CACHE") or ROOT / ".weir-test")
    if not any(cache.glob("stacks/*/stack.json")):
        subprocess.run(
            [sys.executable, "-m", "appliance", "stack", "build", "--home", str(cache)],
            check=True,
            cwd=ROOT,
            timeout=900,
        )
    return cache


def other_stack(name: str) -> Path:
    """A box directory of its own with a stack that isn't the default one, made once (half a minute)."""
    cache = stack_cache() / "other"
    if not (cache / "stacks" / name / "stack.json").exists():
        build = [sys.executable, "-m", "appliance", "stack", "build", name, "--home", str(cache)]
        subprocess.run(build, check=True, cwd=ROOT, timeout=900)
    return cache


def published_launcher() -> list[str]:
    """The command of the published launcher, installed once beside the built stacks (half a minute)."""
    cache = stack_cache()
    install = [sys.executable, "-m", "appliance", "launcher", "install", "--json", "--home", str(cache)]
    done = subprocess.run(install, check=True, cwd=ROOT, timeout=900, capture_output=True)
    return list(json.loads(done.stdout)["command"])


def built_stack() -> StackRef:
    """A built stack: of the environment, else of the test cache, where it is built at the first call.

    WEIR_TEST_STACK=node-red-4 runs the tests on that one.
    """
    node, directory = os.environ.get("WEIR_TEST_STACK_NODE"), os.environ.get("WEIR_TEST_STACK_DIR")
    if node and directory:
        return StackRef(name="test", node=node, node_red=directory)
    name = os.environ.get("WEIR_TEST_STACK") or "node-red-5"
    cache = stack_cache() if name == "node-red-5" else other_stack(name)
    script = cache / "stacks" / name / "node_modules" / "node-red" / "red.js"
    for runtime in sorted(cache.glob("runtimes/node-*/bin/node"), reverse=True):
        if script.exists():
            return StackRef(name=name, node=str(runtime), node_red=str(script.parents[2]))
    raise AssertionError(f"the stack under {cache} is not whole: remove that folder and run the tests again")
