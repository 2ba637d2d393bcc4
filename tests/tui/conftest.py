"""The fake box, and the real `weir` beside it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from tests.support import ROOT
from tests.tui.fakebox import FakeBox, running
from tests.web_box import WebBox, web_box


class Done(Struct, frozen=True):
    """How a command ended."""

    code: int
    out: str
    err: str


Weir = Callable[..., Awaitable[Done]]


@pytest.fixture
async def box(home: Path) -> AsyncIterator[FakeBox]:
    async with running(home) as found:
        yield found


@pytest.fixture
def weir(home: Path) -> Weir:
    """Runs the real command on the box under `home`: `await weir("instance", "list")`."""

    async def run(*arguments: str, stdin: bytes | None = None, env: dict[str, str] | None = None) -> Done:
        process = await start_weir(home, *arguments, env=env, stdin=stdin is not None)
        async with asyncio.timeout(30):
            out, err = await process.communicate(stdin)
        return Done(process.returncode or 0, out.decode(), err.decode())

    return run


@pytest.fixture
async def real(home: Path) -> AsyncIterator[WebBox]:
    """The appliance's real web part, on the sockets that `weir` looks for."""
    async with web_box(home) as box:
        yield box


async def said(weir: Weir, *arguments: str, **fields: Any) -> str:
    """What a command that succeeds prints."""
    done = await weir(*arguments, **fields)
    assert done.code == 0, (arguments, done.out, done.err)
    return done.out


async def loaded(weir: Weir, *arguments: str) -> Any:
    """The object that a command prints with --json."""
    return json.loads(await said(weir, *arguments, "--json"))


async def start_weir(
    home: Path, *arguments: str, env: dict[str, str] | None = None, stdin: bool = False
) -> asyncio.subprocess.Process:
    """The real command as a process whose output can be read."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tui.cli.main",
        *arguments,
        cwd=ROOT,
        env={**os.environ, "WEIR_HOME": str(home), **(env or {})},
        stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
