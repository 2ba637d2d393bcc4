"""Whatever is sent, the API answers as its own document says, and never by a fault of its own.

WEIR_FUZZ_S: how long the long run is in all (150); WEIR_FUZZ_SEED: which one (random, printed).
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from pathlib import Path

import pytest

from appliance.logs import only_faults_of_ours
from tests.fuzz.rig import furnish, run
from tests.web_box import web_box

LENGTH_S = int(os.environ.get("WEIR_FUZZ_S", "150"))
SEED = int(os.environ.get("WEIR_FUZZ_SEED") or random.SystemRandom().randrange(2**32))
EVERYBODY = ("admin", "owner", "member", "viewer", "nobody", "launcher", "node_red")


def is_a_fault(record: logging.LogRecord) -> bool:
    """Problems are what an administrator may bring about by asking: maintenance, full disks."""
    return only_faults_of_ours(record) and record.name != "appliance.services.conditions"


async def test_nobody_a_member_and_an_administrator_find_no_fault(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What the document itself gives as examples, and the edges of its schemas; the same requests each time."""
    async with web_box(tmp_path / "h") as box:
        world = await furnish(box)
        who = ("nobody", "member", "admin")
        runs = (run(world, name, tmp_path, seconds=8, seed=5, examples=3, phases="examples,fuzzing") for name in who)
        found = await asyncio.gather(*runs)
    for name, (status, said) in zip(who, found, strict=True):
        assert status == 0 and " passed" in said, f"{name}:\n{said}"
    assert not [record.message for record in caplog.records if is_a_fault(record)], caplog.text


@pytest.mark.fuzz
@pytest.mark.timeout(LENGTH_S + 300)
async def test_everybody_for_minutes(tmp_path: Path) -> None:
    print(f"\nseed {SEED}: the same again with WEIR_FUZZ_SEED={SEED} WEIR_FUZZ_S={LENGTH_S}")
    each_s = max(LENGTH_S // len(EVERYBODY), 5)
    wrong = []
    for name in EVERYBODY:  # each on a box of his own: what one removes the next would miss
        scratch = tmp_path / name
        scratch.mkdir()
        async with web_box(scratch / "h") as box:
            world = await furnish(box)
            status, said = await run(
                world, name, scratch, seconds=each_s, seed=SEED, examples=60, phases="examples,coverage,fuzzing"
            )
        if status != 0 or " passed" not in said:
            wrong.append(f"{name} by seed {SEED}:\n{said}")
    assert not wrong, "\n".join(wrong)
