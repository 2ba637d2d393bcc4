"""What tests get that need no real Node-RED, nginx or browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.web_box import WebBox


@pytest.fixture
async def box(home: Path) -> AsyncIterator[WebBox]:
    """The web part over its real sockets, with the configuration that a new box has."""
    from tests.web_box import web_box  # here: most tests do without the whole appliance

    async with web_box(home) as made:
        yield made
