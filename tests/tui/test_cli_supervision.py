"""`weir instance set` and what `weir instance show` says of it."""

from __future__ import annotations

import json

from tests.tui.conftest import Weir
from tests.tui.fakebox import FakeBox


async def test_settings_are_asked_for_and_told_when_they_take_effect(box: FakeBox, weir: Weir) -> None:
    done = await weir("instance", "set", "plant-a", "crash-policy=retry", "hot-spare=on", "health-interval=10")
    assert done.code == 0, done.err
    assert done.out == (
        "plant-a: tries again for ever, looked at every 10 s, hot spare\n"
        "At the next start. Now: weir instance restart plant-a\n"
    )
    asked = {"launcherSettings": {"crashPolicy": "retry", "hotSpare": True, "healthCheckInterval": 10000}}
    assert box.asked("PUT", box.find("plant-a")["id"]) == [asked]
    assert "after crashes tries again for ever" in (await weir("instance", "show", "plant-a")).out


async def test_a_new_name_needs_no_restart(box: FakeBox, weir: Weir) -> None:
    done = await weir("instance", "set", "plant-a", "name=plant-z", "--json")
    assert json.loads(done.out)["name"] == "plant-z"
    assert "restart" not in (await weir("instance", "set", "plant-z", "name=plant-y")).out


async def test_nonsense_is_told_before_the_box_is_asked(box: FakeBox, weir: Weir) -> None:
    done = await weir("instance", "set", "plant-a", "crash-policy=often")
    assert (done.code, box.asked("PUT", "")) == (2, [])
    assert "retry, safe, stop" in done.err
    assert (await weir("instance", "set", "plant-a")).code == 2
