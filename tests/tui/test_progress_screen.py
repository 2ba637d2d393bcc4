"""Following the start of an instance: what seems to run and then does not is told as a failure, with its cause."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import eventually
from tests.tui.fakebox import FakeBox
from tests.tui.rig import reads, screens
from tui.screens.progress import ProgressScreen


@pytest.mark.parametrize(
    ("state", "fields", "says"),
    [
        ("crashed", {"message": "A node threw an exception"}, "A node threw an exception"),
        ("safe", {"message": "Safe mode: the flows are stopped", "restarts": 5}, "Safe mode: the flows are stopped"),
        # Seen only when it was already at its next try.
        ("starting", {"restarts": 1}, "Node-RED ended as it started, and is started again"),
    ],
)
async def test_flows_that_end_it_after_they_started(
    box: FakeBox, state: str, fields: dict[str, Any], says: str
) -> None:
    made: list[str] = []

    async def make() -> None:
        made.append(box.add("broken", "starting")["id"])

    async with screens(box.socket) as (app, _):
        await eventually(lambda: app.known.loaded)
        app.push_screen(ProgressScreen(app, "broken", [("instance is made", make)], lambda: "".join(made)))
        await eventually(lambda: made and made[0] in app.known.instances)
        box.set_state("broken", "running")
        await reads(app, "it runs: https://")
        box.log("broken", "Error: flow out of order", "error")
        box.set_state("broken", state, **fields)
        await reads(app, says, "flow out of order", "broken does not run: the cause is above", without="it runs:")
        await reads(app, "+  instance is made", "x  flows start")
        box.set_state("broken", "running", restarts=5)
        await reads(app, "broken does not run: the cause is above")
