"""What all screens share: commands with completion, filters by column, refusals, sparklines, one's own keys."""

from __future__ import annotations

import asyncio

import pytest

from tests.support import eventually
from tests.tui.fakebox import FakeBox
from tests.tui.rig import page, reads, screens, typed
from tui.completion import completed, matches
from tui.filters import parse
from tui.remap import parse as parse_keys
from tui.visits import Visit, Visits

COLUMNS = frozenset({"state", "team", "name"})


async def test_a_filter_by_column(box: FakeBox) -> None:
    async with screens(box.socket) as (app, pilot):
        await reads(app, "plant-test")
        await pilot.press("slash")
        await typed(pilot, "state=run")
        await reads(app, "plant-a", without="plant-b")
        await pilot.press("slash", *["backspace"] * 9)
        await typed(pilot, "!state=running plant-t")
        await reads(app, "plant-test", without="plant-b")


async def test_commands_are_offered_completed_and_remembered(box: FakeBox) -> None:
    async with screens(box.socket) as (app, pilot):
        await reads(app, "plant-test", "t stop")
        await pilot.press("colon", *"sto")
        await reads(app, "stop")
        await pilot.press("tab", "space", *"plant", "tab")
        await reads(app, ":stop plant-")
        await pilot.press("b", "backspace", "a", "enter")
        await eventually(lambda: box.find("plant-a")["meta"]["state"] == "stopped")
        await pilot.press("colon", "up")
        await reads(app, ":stop plant-a")
        await pilot.press("down", "escape")
        await reads(app, "STATE", without=":stop")


async def test_what_is_typed_faster_than_the_prompt_opens_is_no_key(box: FakeBox) -> None:
    async with screens(box.socket) as (app, pilot):
        await reads(app, "plant-test", "t stop")
        await asyncio.gather(pilot.press("colon"), pilot.press("t"), pilot.press("r"))
        await reads(app, ":tr")
        assert not [1 for verb, _, _ in box.seen if verb == "POST"]


async def test_a_tab_that_is_refused_says_why_and_heals(box: FakeBox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.screens.lists.REFUSED_PAUSE_S", 0.1)
    ident = box.find("plant-a")["id"]
    box.audit[ident] = []
    box.refuse[f"GET /api/v1/projects/{ident}/audit-log"] = (403, {"code": "x", "error": "not you\x1b", "hint": "Ask."})
    async with screens(box.socket) as (app, pilot):
        await reads(app, "plant-test")
        await pilot.press("enter", "8")
        await reads(app, "not you\\x1b Ask.")
        box.refuse.clear()
        await reads(app, "nothing is recorded yet", without="not you")


async def test_a_page_of_a_deleted_instance_says_so(box: FakeBox) -> None:
    async with screens(box.socket) as (app, pilot):
        await reads(app, "plant-test")
        await pilot.press("enter")
        await reads(app, "inst > plant-a")
        box.remove("plant-a")
        await reads(app, "deleted")


async def test_a_lost_connection_is_told_on_every_screen(box: FakeBox) -> None:
    async with screens(box.socket) as (app, pilot):
        await reads(app, "plant-test")
        await pilot.press("enter", "6")
        await reads(app, "crash-policy")
        await box.stop()
        await reads(app, "what you see is old", "crash-policy")
        await box.start()
        await reads(app, "crash-policy", without="what you see is old")


async def test_pictures_are_drawn_where_there_is_room(box: FakeBox) -> None:
    found = box.find("plant-a")
    found["samples"] = [{"src": "ab", "ts": at * 10_000, "cpu": at * 2.5, "ps": 100.0} for at in range(40)]
    box.set_resources(
        "plant-a", {"cpuPercent": 50.0, "memoryBytes": 10**8, "at": found["createdAt"], "peakBytes": 10**8}
    )
    async with screens(box.socket) as (app, _):
        await reads(app, "cpu ▁▂▃▄▄▅▆▇██", "mem ████")
    async with screens(box.socket, size=(120, 24)) as (app, _):
        await eventually(lambda: "▁▂▃▄▄▅▆▇██" in page(app)[3])


async def test_ones_own_keys_and_what_is_wrong_with_them(box: FakeBox) -> None:
    own = parse_keys('[keys]\n"instance.stop" = "f5"\n"instance.fly" = "x"\n', "keys.toml")
    async with screens(box.socket, own=own) as (app, pilot):
        await reads(app, "keys.toml, line 3: there is no action", "F5 stop")
        await pilot.press("f5")
        await eventually(lambda: box.find("plant-a")["meta"]["state"] == "stopped")
        await pilot.press("question_mark")
        await reads(app, "keys.toml, line 3", "F5 t")


async def test_an_older_box_that_tells_no_rights_hides_nothing(box: FakeBox) -> None:
    box.refuse["GET /api/v1/user/permissions"] = (404, {"code": "not_found", "error": "no such route"})
    async with screens(box.socket) as (app, _):
        await reads(app, "plant-test", "t stop")


def test_completion_prefers_what_begins_so() -> None:
    words = ["start", "stop", "stacks", "inst"]
    assert matches("st", words, [], takes_name=frozenset()) == ["start", "stop", "stacks", "inst"]
    assert matches("stop pl", words, ["plant", "x"], takes_name=frozenset({"stop"})) == ["stop plant"]
    assert matches("stacks pl", words, ["plant"], takes_name=frozenset({"stop"})) == []
    assert completed("s", ["start", "stop"]) == "st" and completed("st", ["start", "stop"]) == "start"
    assert completed("x", []) == "x"


@pytest.mark.parametrize(
    ("pattern", "lets"),
    [
        ("state=run", True),
        ("STATE=RUN", True),
        ("!state=run", False),
        ("state!=run", False),
        ("state=run plant", True),
        ("state=run !plant", False),
        ("url=x", False),  # no column: looked for as it is
        ("", True),
    ],
)
def test_filters(pattern: str, lets: bool) -> None:
    columns = {"state": "+ running", "name": "plant-a"}
    assert parse(pattern, COLUMNS).lets("+ running plant-a", columns) is lets


def test_visits_go_back_forward_and_to_and_fro() -> None:
    visits = Visits(Visit("inst"))
    visits.go(Visit("show", ("a",)))
    visits.go(Visit("logs", ("a",)))
    assert visits.step(-1) == Visit("show", ("a",)) and visits.last == Visit("logs", ("a",))
    assert visits.step(1) == Visit("logs", ("a",)) and visits.step(1) is None
    visits.step(-1)
    visits.go(Visit("help"))
    assert visits.step(1) is None and visits.step(-1) == Visit("show", ("a",))
