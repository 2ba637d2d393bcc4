"""The screens at 80×24 against a real server: what it was asked, and what people read afterwards."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.support import eventually
from tests.tui import rig
from tests.tui.fakebox import FakeBox
from tests.tui.rig import page, reads
from tui import logfeed
from tui.app import WeirApp
from tui.profile import Profile
from tui.screens import frame
from tui.screens.logs import LogsScreen


@contextlib.asynccontextmanager
async def screens(box: FakeBox, **fields: Any) -> AsyncIterator[tuple[WeirApp, Pilot[None]]]:
    async with rig.screens(box.socket, **fields) as found:
        yield found


async def test_the_home_screen(box: FakeBox) -> None:
    async with screens(box) as (app, _):
        await reads(app, "plant-test")
        await reads(app, "weir · pi4.local · 1 run 1 crash 1 stop · mem 61% disk 43%")
        lines = page(app)
        assert lines[2].split() == ["STATE", "NAME", "CPU", "MEM", "RST", "AGE", "ADDRESS"]
        assert lines[3].startswith("> + running     plant-a ")
        assert lines[5].startswith("  x crashed     plant-test ")
        assert "l logs" in lines[-1]
        assert "? help" in lines[-1]


@pytest.mark.parametrize(
    ("key", "action", "end"), [("S", "start", "running"), ("t", "stop", "stopped"), ("r", "restart", "running")]
)
async def test_a_key_changes_the_box(box: FakeBox, key: str, action: str, end: str) -> None:
    async with screens(box) as (app, pilot):
        await reads(app, "plant-test")
        await pilot.press("j", key)
        ident = box.find("plant-b")["id"]
        await eventually(lambda: box.asked("POST", f"/projects/{ident}/actions/{action}"))
        await eventually(lambda: box.find("plant-b")["meta"]["state"] == end)
        await eventually(lambda: page(app)[4].split()[2] == end)
        assert len([1 for verb, _, _ in box.seen if verb == "POST"]) == 1


async def test_the_same_by_words(box: FakeBox) -> None:
    async with screens(box) as (app, pilot):
        await reads(app, "plant-test")
        await pilot.press("colon", *"stop plant-a", "enter")
        await eventually(lambda: box.find("plant-a")["meta"]["state"] == "stopped")
        await pilot.press("colon", *"stop nope", "enter")
        await reads(app, "there is no instance 'nope'")
        await pilot.press("colon", *"frobnicate", "enter")
        await reads(app, "'frobnicate' is no command")


async def test_a_refusal_is_told_with_its_next_step(box: FakeBox) -> None:
    async with screens(box) as (app, pilot):
        await reads(app, "plant-test")
        ident = box.find("plant-a")["id"]
        refusal = {"code": "unauthorized", "error": "you may only look", "hint": "Ask an owner."}
        box.refuse[f"POST /api/v1/projects/{ident}/actions/stop"] = (403, refusal)
        await pilot.press("t")
        await reads(app, "plant-a: you may only look Ask an owner.")


async def test_states_are_live(box: FakeBox) -> None:
    async with screens(box) as (app, _):
        await reads(app, "plant-test")
        box.set_state("plant-a", "crashed", "exit 137")
        await reads(app, "x crashed     plant-a", "exit 137", "0 run 2 crash")
        made = box.add("plant-new", "starting")
        await reads(app, "~ starting    plant-new")
        box.remove(made["id"])
        await reads(app, "2 crash", without="plant-new")


async def test_the_cursor_stays_on_its_instance(box: FakeBox) -> None:
    async with screens(box) as (app, pilot):
        await reads(app, "plant-test")
        await pilot.press("j", "j")
        box.remove("plant-a")
        await reads(app, "> x crashed     plant-test", without="plant-a ")
        await pilot.press("G", "g")
        await reads(app, "> - stopped     plant-b")


async def test_a_lost_connection_is_told_and_heals(box: FakeBox) -> None:
    async with screens(box) as (app, _):
        await reads(app, "plant-test")
        await box.stop()
        await reads(app, "what you see is old, trying again", "plant-a")
        box.instances[0]["meta"]["state"] = "stopped"  # while nobody could hear it
        await box.start()
        await reads(app, "- stopped     plant-a", without="what you see is old")


async def test_a_silent_line_is_noticed(box: FakeBox) -> None:
    async with screens(box, silence_s=0.3) as (app, _):
        await reads(app, "plant-a")
        box.mute = True
        box.cut()
        await reads(app, "fell silent", "what you see is old")
        box.mute = False
        await reads(app, "plant-a", without="what you see is old")


async def test_a_box_that_is_unwell_at_the_start(box: FakeBox) -> None:
    box.refuse["GET"] = (503, {"code": "unavailable", "error": "the store is full"})
    async with screens(box) as (app, _):
        await reads(app, "the store is full")
        box.refuse.clear()
        await reads(app, "plant-a", without="the store is full")


async def test_filter(box: FakeBox) -> None:
    async with screens(box) as (app, pilot):
        await reads(app, "plant-test")
        await pilot.press("slash", *"test")
        await reads(app, "plant-test", without="plant-b")
        await pilot.press("enter", "k")  # the keys are the list's again
        await reads(app, "/test", without="/testk")
        await pilot.press("slash", *["backspace"] * 4, *"!test", "enter")
        await reads(app, "plant-a", "plant-b", without="plant-test ")
        await pilot.press("slash", *["backspace"] * 5, *"xx", "enter")
        await reads(app, "nothing matches /xx")
        await pilot.press("escape")
        await reads(app, "plant-a", "plant-b", "plant-test")


async def test_help_is_called_keys_and_lists_them(box: FakeBox) -> None:
    async with screens(box) as (app, pilot):
        await reads(app, "plant-test")
        await pilot.press("question_mark")
        await reads(app, "Keys", "restart its flows", ":restart")
        await pilot.press("slash", *"type a command", "enter")
        await reads(app, "type a command", without="restart its flows")
        await pilot.press("escape")
        await pilot.press("escape")
        await reads(app, "plant-a")


async def test_the_address_is_shown_in_full(box: FakeBox) -> None:
    async with screens(box) as (app, pilot):
        await reads(app, "plant-test")
        await pilot.press("o")
        await reads(app, "https://pi4.local:10000/")


async def test_logs_follow_hold_and_filter(box: FakeBox) -> None:
    async with screens(box) as (app, pilot):
        await reads(app, "plant-test")
        for number in range(100):
            box.log("plant-a", f"line {number}")
        await pilot.press("l")
        await reads(app, "log of plant-a", "line 99", "100 lines")
        await eventually(lambda: box.log_streams.get(box.find("plant-a")["id"]))
        box.log("plant-a", "now it comes", "error", type="function", name="calc")
        await reads(app, "error  [function:calc] now it comes")
        await pilot.press("k")
        for number in range(3):
            box.log("plant-a", f"later {number}")
        await reads(app, "held, 3 new", without="later")
        await pilot.press("G")
        await reads(app, "later 2", without="held")
        await pilot.press("slash", *"line 7", "enter")
        await reads(app, "line 7", "line 79", "/line 7", "11 lines", without="later")
        await pilot.press("escape", "g")
        await reads(app, "line 0", "held")
        await pilot.press("escape")
        await reads(app, "STATE")


async def test_log_text_is_data_and_long_lines_fold(box: FakeBox) -> None:
    async with screens(box) as (app, pilot):
        await reads(app, "plant-test")
        box.log("plant-a", "[bold red]no markup[/] \x1b[2J \u202e " + "x" * 100 + "END")
        await pilot.press("l")
        await reads(app, "[bold red]no markup[/] \\x1b[2J \\u202e", without="END")
        await pilot.press("w")
        await reads(app, "END", "folded")


async def test_an_entry_of_thousands_of_lines_is_cut(box: FakeBox) -> None:
    async with screens(box) as (app, pilot):
        await reads(app, "plant-test")
        box.log("plant-a", "\n".join(f"line {number}" for number in range(5000)))
        await pilot.press("l")
        await reads(app, "line 100", "(4899 more lines)", "102 lines", without="line 101")


async def test_a_resumed_log_shows_each_entry_once(box: FakeBox) -> None:
    async with screens(box) as (app, pilot):
        await reads(app, "plant-test")
        box.log("plant-a", "first")
        await pilot.press("l")
        ident = box.find("plant-a")["id"]
        await eventually(lambda: box.log_streams.get(ident))
        box.cut()
        await eventually(lambda: not box.log_streams.get(ident))
        box.log("plant-a", "second")
        whole = await reads(app, "first", "second", "2 lines")
        assert whole.count("first") == 1


async def test_a_flood_is_cut_and_said(box: FakeBox) -> None:
    async with screens(box) as (app, pilot):
        await reads(app, "plant-test")
        await pilot.press("l")
        await eventually(lambda: box.log_streams.get(box.find("plant-a")["id"]))
        box.log_many("plant-a", [f"flood {number}" for number in range(30_000)])
        await eventually(lambda: "flood 29999" in "\n".join(page(app)), 30)
        assert isinstance(app.screen, LogsScreen)
        skipped = [app.screen.view.ring.line(n) for n in app.screen.view.ring.shown(0, 10**6)]
        assert any("entries skipped" in line for line in skipped)


async def test_older_pages_are_fetched_at_the_top(box: FakeBox) -> None:
    async with screens(box) as (app, pilot):
        await reads(app, "plant-test")
        for number in range(1200):
            box.log("plant-a", f"line {number:04d}")
        await pilot.press("l")
        await reads(app, "line 1199", "500 lines")
        await pilot.press("g")
        await reads(app, "line 0700", "1000 lines", "held")
        await pilot.press("k")
        await reads(app, "line 0699", "line 0700")
        await pilot.press("g")
        await reads(app, "1200 lines", "line 0200")
        await pilot.press("g", "g")
        await reads(app, "line 0000", "1200 lines")
        await pilot.press("slash", *"line 000", "enter", "g")
        await reads(app, "line 0000", "line 0009", "10 lines", without="line 0010")


@pytest.mark.parametrize("passing", [True, False])
async def test_a_log_that_is_refused_says_why_for_as_long_as_it_is(
    box: FakeBox, monkeypatch: pytest.MonkeyPatch, passing: bool
) -> None:
    monkeypatch.setattr(logfeed, "REFUSED_PAUSE_S", 0.1)
    monkeypatch.setattr(frame, "SAID_S", 0.1)
    async with screens(box) as (app, pilot):
        await reads(app, "plant-test")
        ident = box.find("plant-a")["id"]
        box.log("plant-a", "it was there before")
        refusal = {"code": "unavailable", "error": "not now\x1b[2J", "hint": "Wait."}
        status = 503 if passing else 403
        box.refuse[f"GET /api/v1/projects/{ident}/logs"] = (status, refusal)
        await pilot.press("l")
        await reads(app, "not now\\x1b[2J Wait.; trying again")
        await pilot.press("w")  # a key takes back what is said in passing
        await reads(app, "trying again")
        box.refuse.clear()
        await reads(app, "it was there before", without="trying again")


async def test_a_small_terminal_is_told_what_the_screens_are_made_for(box: FakeBox) -> None:
    async with screens(box, size=(60, 12)) as (app, pilot):
        await reads(app, "60x12 is small: made for 80x24", "plant-a")
        await pilot.press("j")
        await reads(app, "> - stopped     plant-b", without="is small")
        await pilot.resize_terminal(80, 24)
        await reads(app, "plant-a", without="is small")
        await pilot.resize_terminal(100, 23)
        await reads(app, "100x23 is small")


async def test_strangers_text_never_reaches_the_terminal_as_it_is(box: FakeBox) -> None:
    box.instances[0]["meta"]["state"] = "odd\x1b[31m\u202e"
    async with screens(box) as (app, pilot):
        whole = await reads(app, "odd\\x1b[3…")
        assert "\x1b" not in whole and "\u202e" not in whole
        box.refuse["GET"] = (503, {"code": "unavailable", "error": "gone\x9b2J\nsecond"})
        box.cut()
        whole = await reads(app, "what you see is old, trying again: gone\\x9b2J\\x0asecond")
        assert "\x9b" not in whole


async def test_many_rows_and_pages(box: FakeBox) -> None:
    for number in range(500):
        box.add(f"line-{number:03d}")
    async with screens(box) as (app, pilot):
        await reads(app, "line-000")
        await pilot.press("pagedown")
        await reads(app, "> + running     line-0")
        await pilot.press("G")
        await reads(app, "> + running     line-499")
        await pilot.press("g")
        await reads(app, "> + running     plant-a")


@pytest.mark.parametrize("size", [(40, 10), (80, 24), (200, 60), (20, 5)])
async def test_any_size_of_terminal(box: FakeBox, size: tuple[int, int]) -> None:
    async with screens(box, size=size) as (app, pilot):
        await reads(app, "plant-a" if size[0] >= 40 else "runn")
        await pilot.resize_terminal(100, 30)
        await reads(app, "plant-a")


async def test_ascii_screens_are_ascii(box: FakeBox) -> None:
    box.add("wärme-\N{SNOWMAN}")
    async with screens(box, profile=Profile(ascii=True, repaint_s=0.01)) as (app, _):
        assert (await reads(app, "w?rme-?", "mem 61%")).isascii()


async def test_quitting_leaves_the_box_alone(box: FakeBox) -> None:
    async with screens(box) as (app, pilot):
        await reads(app, "plant-test")
        await pilot.press("question_mark", "q")
        await reads(app, "plant-a")
        assert app.is_running
        await pilot.press("q")
        await eventually(lambda: not app.is_running)
        assert [verb for verb, _, _ in box.seen if verb != "GET"] == []
