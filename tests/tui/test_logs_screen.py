"""The log of one instance and of several: levels, times, files. What follows and resumes is in `test_screens.py`."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support import eventually
from tests.tui.fakebox import FakeBox
from tests.tui.fakedata import log_entry
from tests.tui.rig import command, page, reads, screens, typed
from tui.times import moment
from tui.widgets.ring import Ring

NOW = datetime(2026, 11, 23, 14, 30, 15, tzinfo=UTC)


async def test_several_logs_are_one_with_prefixes(box: FakeBox) -> None:
    for number in range(3):
        box.logs.setdefault(box.find("plant-a")["id"], []).append(log_entry(f"a {number}", at=number * 2 - 9))
        box.logs.setdefault(box.find("plant-b")["id"], []).append(log_entry(f"b {number}", at=number * 2 - 8))
    async with screens(box.socket) as (app, pilot):
        await reads(app, "plant-test")
        await pilot.press("space", "space", "l")
        whole = await reads(app, "logs of 2: plant-a, plant-b", "6 lines")
        lines = [line.split(maxsplit=2)[2].split() for line in whole.splitlines() if " info " in line]
        assert lines == [[f"plant-{letter}", letter, str(n)] for n in range(3) for letter in "ab"]
        await eventually(lambda: box.log_streams.get(box.find("plant-b")["id"]))
        box.log("plant-b", "boom\n    at f", "error")
        await reads(app, "error  plant-b     boom", "plant-b         at f", "8 lines")
        await pilot.press("slash")
        await typed(pilot, "plant-b")
        await reads(app, "5 lines", without="plant-a     a")
        await pilot.press("escape", "escape")
        await command(pilot, "logs plant-a plant-test")
        await reads(app, "logs of 2: plant-a, plant-test")


async def test_one_of_several_that_is_refused_does_not_keep_the_others(box: FakeBox) -> None:
    box.log("plant-a", "here I am")
    ident = box.find("plant-b")["id"]
    box.refuse[f"GET /api/v1/projects/{ident}/logs"] = (403, {"code": "forbidden", "error": "not yours"})
    async with screens(box.socket) as (app, pilot):
        await reads(app, "plant-test")
        await pilot.press("space", "space", "l")
        await reads(app, "here I am", "not yours")


async def test_levels_keep_the_lines_of_a_trace_together(box: FakeBox) -> None:
    async with screens(box.socket) as (app, pilot):
        await reads(app, "plant-test")
        box.log("plant-a", "all is well")
        box.log("plant-a", "careful", "warn")
        box.log("plant-a", "boom\n    at f (x.js)", "error")
        await pilot.press("l")
        await reads(app, "all is well", "careful", "boom")
        await pilot.press("v")
        await reads(app, "warnings and errors", "careful", "at f (x.js)", "3 lines", without="all is well")
        await pilot.press("v")
        await reads(app, "boom", "at f (x.js)", "2 lines", without="careful")
        ident = box.find("plant-a")["id"]
        await eventually(lambda: box.log_streams.get(ident))
        box.log("plant-a", "info comes")
        box.log("plant-a", "worse", "error")
        await reads(app, "worse", without="info comes")
        await pilot.press("v")
        await reads(app, "info comes", "all is well")


async def test_a_time_is_gone_to_over_older_pages(box: FakeBox) -> None:
    ident, now = box.find("plant-a")["id"], datetime.now(UTC)
    for number in range(1300):  # one a minute, the last one now
        ms = int(now.timestamp() * 1000) - (1299 - number) * 60_000
        box.logs.setdefault(ident, []).append(log_entry(f"line {number:04d}") | {"ts": f"{ms:013d}0000"})
    async with screens(box.socket) as (app, pilot):
        await reads(app, "plant-test")
        await pilot.press("l")
        await reads(app, "line 1299", "500 lines")
        await pilot.press("T")
        await typed(pilot, "-900m")
        await reads(app, "held", "1000 lines")
        assert "line 0399" in page(app)[2] or "line 0400" in page(app)[2]
        await pilot.press("T")
        await typed(pilot, "-9d")
        await reads(app, "the log begins here", "line 0000", without="line 1299")
        await pilot.press("T")
        await typed(pilot, "noon")
        await reads(app, "'noon' is no time")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("14:05", "2026-11-23T14:05:00"),
        ("14:05:30", "2026-11-23T14:05:30"),
        ("23:00", "2026-11-22T23:00:00"),
        ("2026-11-01 08:00", "2026-11-01T08:00:00"),
        ("-15m", "2026-11-23T14:15:15"),
        ("2h", "2026-11-23T12:30:15"),
    ],
)
def test_times_as_people_type_them(text: str, wanted: str) -> None:
    assert moment(text, NOW) == datetime.fromisoformat(wanted).replace(tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "noon", "25:00", "12:61", "2026-02-30 12:00", "-m", "١٢:٠٠"])
def test_what_is_no_time(text: str) -> None:
    assert moment(text, NOW) is None


async def test_what_is_shown_is_saved_and_nothing_overwritten(box: FakeBox, tmp_path: Path) -> None:
    async with screens(box.socket) as (app, pilot):
        await reads(app, "plant-test")
        for number in range(3):
            box.log("plant-a", f"line {number}")
        await pilot.press("l")
        await reads(app, "3 lines")
        await pilot.press("slash")
        await typed(pilot, "!line 1")
        file = tmp_path / "out"
        for said in ("2 lines are in", "nothing is overwritten"):
            await pilot.press("s")
            field = app.frame.prompt
            field.put("")
            await typed(pilot, str(file))
            await reads(app, said)
        assert [line.split()[-1] for line in file.read_text().splitlines()] == ["0", "2"]
        assert file.stat().st_mode & 0o777 == 0o600 and ".weir" not in " ".join(os.listdir(tmp_path))


async def test_the_instance_can_be_acted_on_from_its_log(box: FakeBox) -> None:
    async with screens(box.socket) as (app, pilot):
        await reads(app, "plant-test")
        await pilot.press("l", "t")
        await reads(app, "log of plant-a  - stopped")
        await pilot.press("1")
        await reads(app, "inst > plant-a  - stopped", "wanted: ")


def test_a_ring_finds_times_also_after_lines_were_put_in_front_and_cut() -> None:
    ring = Ring(cap=100)
    ring.append(["c", "d"], [30, 40])
    ring.prepend(["a", "b"], [10, 20])
    assert [ring.line(ring.number_at(at)) for at in (5, 10, 15, 30)] == ["a", "a", "b", "c"]
    assert ring.number_at(41) == ring.end and ring.oldest == 10
    ring.append([str(number) for number in range(200)], range(100, 300))
    assert ring.oldest == 200 and ring.line(ring.number_at(250)) == "150"
