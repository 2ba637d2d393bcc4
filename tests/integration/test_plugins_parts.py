"""Starts the JavaScript tests of the plugins' parts with the stack's own Node.js."""

from __future__ import annotations

import asyncio

import pytest

from tests.support import ROOT, built_stack

pytestmark = pytest.mark.real


async def test_the_parts_of_the_plugins() -> None:
    node = await asyncio.create_subprocess_exec(
        built_stack().node,
        "--test",
        str(ROOT / "tests" / "plugins" / "parts.test.js"),
        str(ROOT / "tests" / "plugins" / "metrics.test.js"),
        str(ROOT / "tests" / "plugins" / "control.test.js"),
        str(ROOT / "tests" / "plugins" / "away.test.js"),
        str(ROOT / "tests" / "plugins" / "broker.test.js"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(node.communicate(), 50)
    assert node.returncode == 0, output.decode()
