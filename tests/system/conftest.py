"""Fixtures of the system tests: a running box, and a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.chromium import chromium
from tests.support import stack_cache
from tests.system.box import Box

if TYPE_CHECKING:
    from playwright.async_api import Browser


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """A box of its own for the module, with one instance called `first` that runs."""
    box = Box(tmp_path_factory.mktemp("box") / "h", stack_cache())
    box.up()
    try:
        yield box
    finally:
        box.down()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser
