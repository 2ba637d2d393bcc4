"""Clients that leave in the middle of what they say."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from tests.support import eventually
from tests.web_box import web_box

HALF = b"POST /account/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"


def handling() -> list[str]:
    return [name for task in asyncio.all_tasks() if "RequestHandler.start" in (name := repr(task))]


async def test_a_cut_in_the_middle_of_a_body_is_no_error(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever may connect could fill the log with traces."""
    async with web_box(home) as box:
        caplog.set_level(logging.INFO)
        _, writer = await asyncio.open_connection("127.0.0.1", box.port)
        writer.write(HALF)
        await writer.drain()
        await eventually(lambda: bool(handling()))
        writer.transport.abort()
        await eventually(lambda: not handling())
        assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
