"""The problems at 80×24: cause, evidence and next step can be read in full, and come and go with the box."""

from __future__ import annotations

from typing import Any

from textual import events

from appliance.services.health import database, disk
from appliance.services.health.trouble import Trouble
from appliance.store import faults
from appliance.system.vitals import Disk
from tests.tui.conftest import Weir
from tests.tui.fakebox import FakeBox
from tests.tui.rig import page, reads
from tests.tui.test_screens import screens
from tui.profile import Profile

HOME = "/srv/automation/weir/boxes/plant-floor-gateway-2"
FULL = disk.judge([Disk(HOME, 10**9, 0, 0, 0, read_only=False)])[0]
LONGEST = database.failing(faults._full(disk.Path(f"{HOME}/state/weir.db"), None))  # type: ignore[arg-type]


def wire(each: Trouble) -> dict[str, Any]:
    told = {"key": each.key, "title": each.title, "cause": each.cause, "evidence": each.evidence}
    return told | {"nextStep": each.next_step, "since": "2026-11-23T00:00:00Z", "about": each.about}


def text(lines: list[str]) -> str:
    """What is read, whatever the folding."""
    return " ".join(" ".join(lines).split())


async def test_all_of_a_problem_can_be_read(box: FakeBox) -> None:
    box.problems = [wire(FULL), wire(LONGEST)]
    async with screens(box) as (app, pilot):
        await reads(app, "!2 problems")
        await pilot.press("colon", *"problems", "enter")
        await reads(app, "The disk is full", "0 MiB of 953 MiB are free")
        for each, keys in ((FULL, ()), (LONGEST, ("j",))):
            await pilot.press(*keys)
            await reads(app, each.evidence[:60])
            shown = text(page(app))
            for part in (each.cause, each.evidence, each.next_step):
                assert " ".join(part.split()) in shown, (part, page(app))
            assert all(title in shown for title in (FULL.title, LONGEST.title)), "the list stays in sight"
        assert page(app)[-1].strip().startswith(("/", ":", "?", "q")) or "filter" in page(app)[-1]


async def test_it_reads_without_colour_and_in_ascii(box: FakeBox) -> None:
    box.problems = [wire(FULL)]
    profile = Profile(low=True, colour=False, ascii=True, repaint_s=0.01, status_s=0.2)
    async with screens(box, profile=profile) as (app, pilot):
        await reads(app, "!1 problem")
        await pilot.press("colon", *"problems", "enter")
        await reads(app, "why", "seen", "do", "Free some space")
        assert all(line.isascii() for line in page(app))


async def test_problems_come_and_go_as_they_are_announced(box: FakeBox) -> None:
    """Also over a slow line, where the header asks only every half minute."""
    async with screens(box, profile=Profile(repaint_s=0.01, status_s=600)) as (app, pilot):
        await pilot.press("colon", *"problems", "enter")
        await reads(app, "no problem is known")
        box.problems = [wire(FULL)]
        box.publish("problem.raised", box.problems[0])
        await reads(app, "The disk is full", "why")
        box.problems = []
        box.publish("problem.cleared", {"id": FULL.key})
        await reads(app, "no problem is known", without="The disk is full")


async def test_a_problem_from_a_stranger_breaks_nothing(box: FakeBox) -> None:
    box.problems = [wire(FULL) | {"cause": "\x1b[31m" + "x" * 500, "evidence": "[bold]a[/]", "nextStep": ""}]
    async with screens(box, size=(60, 16)) as (app, pilot):
        await pilot.press("colon", *"problems", "enter")
        whole = await reads(app, "The disk is full", "\\x1b[31m", "[bold]a[/]")
        assert "\x1b" not in whole


async def test_the_command_tells_all_of_them(box: FakeBox, weir: Weir) -> None:
    assert (await weir("problems")).out == "No problem is known\n"
    box.problems = [wire(FULL)]
    done = await weir("problems")
    assert done.code == 0
    assert all(part in done.out for part in (FULL.title, FULL.cause, FULL.evidence, f"-> {FULL.next_step}"))
    assert (await weir("problems", "--json")).out.startswith("[")


async def test_what_is_typed_in_one_go_is_a_command(box: FakeBox) -> None:
    """Pasted, or typed faster than the box paints: no letter of a command may act as a key on the list."""
    async with screens(box) as (app, pilot):
        await reads(app, "plant-test")
        for key in ("colon", *"problems", "enter"):
            named = {"colon": ":", "enter": "\r"}.get(key, key)
            app.post_message(events.Key(key, named))
        await reads(app, "PROBLEM", "no problem is known")
        await pilot.press("escape")
        await reads(app, "plant-test")
        assert box.asked("POST", "/restart") == []
