"""The screens on a real appliance: whoever is at them, and what the API says afterwards."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from textual.pilot import Pilot

from tests.people_box import Caller, People
from tests.support import eventually
from tests.tui.rig import FAST, page, reads, screens
from tui.app import WeirApp
from tui.profile import Profile

__all__ = ["NASTY", "at", "goes", "page", "reads", "typed"]
# Markup and characters of two cells: names are data. The box takes no control characters in names.
NASTY = "[red]x[/] 計計"


@contextlib.asynccontextmanager
async def at(
    people: People, who: Caller | None = None, *, profile: Profile = FAST, size: tuple[int, int] = (80, 24)
) -> AsyncIterator[tuple[WeirApp, Pilot[None]]]:
    """The screens as the box's own account sees them, or somebody with a token."""
    box = people.box
    url = f"http://127.0.0.1:{box.port}" if who is not None else ""
    token = (who.token or "") if who is not None else ""
    async with screens(box.context.home.api_socket, url=url, token=token, profile=profile, size=size) as (app, pilot):
        await eventually(lambda: app.known.loaded and app.known.rights.may("box:status"))
        yield app, pilot


async def typed(pilot: Pilot[None], text: str, *, clear: bool = False) -> None:
    """Type a text, whatever characters are in it, into the prompt that is open, and Enter."""
    app = pilot.app
    assert isinstance(app, WeirApp)
    await eventually(lambda: app.frame.prompt.open and app.frame.prompt.has_cursor)
    if clear:
        app.frame.prompt.put("")
    for char in text:
        app.frame.prompt.type(char)
    await pilot.press("enter")


async def goes(pilot: Pilot[None], command: str) -> None:
    """Type a command after `:`."""
    await pilot.press("colon")
    await typed(pilot, command)


async def fills(pilot: Pilot[None], values: dict[str, str]) -> None:
    """Fill in the form on top by its fields' ids, and send it off."""
    app: Any = pilot.app
    await eventually(lambda: hasattr(app.frame, "values"))
    form = app.frame
    for ident, value in values.items():
        form.table.move_to(form.table.keys.index(ident))
        field = form._field()
        if field.choices:
            form._take(field, value)
        else:
            await pilot.press("enter")
            await typed(pilot, value, clear=True)
    await pilot.press("S")
