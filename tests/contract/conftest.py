"""Every test of the contract runs against every driver."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.rig import RIGS, Rig, sweep


@pytest.fixture(params=sorted(RIGS))
def rig(request: pytest.FixtureRequest) -> Rig:
    return RIGS[request.param]


@pytest.fixture(autouse=True)
async def swept(home: Path) -> AsyncIterator[None]:
    """Whatever a test places is stopped after it."""
    yield
    await sweep(home)
