"""Death by the kernel's OOM killer, in a cgroup that limits the instance as its unit would."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cgroups import MemoryCgroup, memory_cgroup, missing
from tests.integration.test_launcher_node_red import flow
from tests.launcher_rig import Rig, rig
from tests.support import built_stack, eventually

LIMIT_MB = 240
# Buffers are no part of V8's heap: the kernel is the first to say no.
GREEDY = """
  const held = [];
  setInterval(() => held.push(Buffer.alloc(8 << 20, 1)), 20);
  return msg;"""

pytestmark = [pytest.mark.real, pytest.mark.skipif(bool(missing()), reason=f"no cgroup of its own: {missing()}")]


@pytest.fixture
async def cgroup() -> AsyncIterator[MemoryCgroup]:
    async with memory_cgroup(f"weir-test-{os.getpid()}", LIMIT_MB << 20) as made:
        yield made


@pytest.fixture
async def box(tmp_path: Path, cgroup: MemoryCgroup) -> AsyncIterator[Rig]:
    async with rig(tmp_path, built_stack()) as made:
        made.prefix = cgroup.prefix
        yield made


async def test_the_kernels_kill_is_told_with_the_limit_and_what_to_do(box: Rig) -> None:
    box.appliance.flows = flow(GREEDY)
    await box.start()
    first = await box.until("running", "crashed")
    (report,) = await eventually(
        lambda: [each for each in box.appliance.states if each["state"] == "crashed"][:1], 40, what=box.out()
    )
    assert report["reason"] == "out_of_memory" and f"allowed: {LIMIT_MB} MB" in report["message"]
    assert "stack with more (weir stack list)" in report["message"]
    assert (await eventually(lambda: box.appliance.seen("crashed")))[0]["info"]["signal"] == "SIGKILL"
    # The launcher is small enough to be spared, and starts it again.
    box.appliance.flows = []
    again = await box.until("running", timeout_s=60)
    assert again["pid"] == first["pid"] and again["nodeRedPid"] != first["nodeRedPid"]
