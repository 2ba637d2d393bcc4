"""The screens in a headless terminal, on any box that has a socket: press keys, read what people read."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from textual.pilot import Pilot

from tests.support import eventually
from tui.address import Address
from tui.app import WeirApp
from tui.client import Client
from tui.profile import Profile
from tui.remap import Own

FAST = Profile(repaint_s=0.01, status_s=0.2)


@contextlib.asynccontextmanager
async def screens(
    socket: Path,
    *,
    profile: Profile = FAST,
    silence_s: float = 45,
    size: tuple[int, int] = (80, 24),
    token: str = "",
    url: str = "",
    own: Own | None = None,
) -> AsyncIterator[tuple[WeirApp, Pilot[None]]]:
    """The application with its pilot; with `url` over TCP, as whom the token stands for. No worker may have failed."""
    address = Address(label="the box", base_url=url or "http://weir", socket=None if url else socket, token=token)
    app = WeirApp(Client(address, silence_s=silence_s), profile, own=own)
    async with app.run_test(size=size) as pilot:
        with contextlib.suppress(AssertionError):  # a box that does not answer is somebody's test as well
            await eventually(lambda: app.known.rights.known or app.known.lost, 5)
        yield app, pilot
        failed = [each.name for each in app.workers if each.error is not None]
        assert failed == []


def page(app: WeirApp) -> list[str]:
    """The screen as text, line by line."""
    width, height = app.size
    strips = app.screen._compositor.render_strips()
    lines = ["".join(segment.text for segment in strip) for strip in strips]
    assert len(lines) == height
    assert all(len(line) <= width for line in lines)
    return lines


async def reads(app: WeirApp, *texts: str, without: str = "\0") -> str:
    """Wait until all texts are on the screen and `without` is not."""

    def check() -> str:
        whole = "\n".join(page(app))
        assert all(text in whole for text in texts), whole
        assert without not in whole, whole
        return whole

    return await eventually(check, 10)


async def typed(pilot: Pilot[None], text: str) -> None:
    """Type a text into the prompt that is open, and Enter."""
    names = {" ": "space", "=": "equals_sign", "-": "minus", "/": "slash", ".": "full_stop", "_": "underscore"}
    await pilot.press(*(names.get(char, char) for char in text), "enter")


async def command(pilot: Pilot[None], text: str) -> None:
    """Type a command after `:`."""
    await pilot.press("colon")
    await typed(pilot, text)
