"""What is asked of every screen there is: the table is the registry, so a new screen is in these tests by itself.

The box is the real API; a line before it is slow, refuses, breaks, poisons texts and multiplies lists.
"""

from __future__ import annotations

import contextlib
import time
import unicodedata
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from textual.pilot import Pilot

from appliance.model import Role
from tests.people_box import People, people_box
from tests.support import eventually
from tests.tui.bad_line import NASTY, BadLine, bad_line
from tests.tui.rig import FAST, page, screens
from tui import keys, keytable
from tui.app import WeirApp
from tui.profile import Profile
from tui.screens.frame import Frame
from tui.screens.instances import InstancesScreen
from tui.screens.lists import FetchedScreen
from tui.screens.registry import PLACES, Place
from tui.text import HIDDEN, width

pytestmark = pytest.mark.timeout(120)
ASCII = Profile(repaint_s=0.01, status_s=0.2, ascii=True)
SAID_S = 8.0


@pytest.fixture
async def people(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[People]:
    """A box with one of everything that lists show."""
    known = tmp_path / "boxes.toml"
    known.write_text(f'[boxes.elsewhere]\nhome = "{tmp_path}/[red]x[/]"\n')
    monkeypatch.setenv("WEIR_BOXES", str(known))
    async with people_box(home) as found:
        await furnish(found)
        yield found


async def furnish(people: People) -> None:
    made = await people.box.instance("plant-a")
    await people.box.instance("plant-b")
    olga = await people.add("olga", Role.OWNER)
    vera = await people.add("vera", Role.VIEWER)
    await people.add("nina")
    await people.root.ok("POST", f"/teams/{people.team}/invitations", {"user": "nina", "role": 30})
    await people.root.ok("POST", f"/projects/{made.id}/httpTokens", {"name": "scada", "scope": ""})
    await people.root.ok("POST", f"/projects/{made.id}/snapshots", {"name": "first", "description": "before"})
    env = [{"name": "PLACE", "value": "hall"}]
    await people.root.ok("PUT", f"/projects/{made.id}", {"settings": {"env": env}})
    await people.root.ok("POST", "/user/tokens", {"name": "mine"})
    assert olga.token and vera.token
    people.box.services.box._conditions.raise_(
        f"instance_failing:{made.id}",
        title=f"plant-a {NASTY}",
        cause=NASTY,
        evidence=NASTY,
        next_step=NASTY,
        about=made.id,
    )


@contextlib.asynccontextmanager
async def over(
    people: People, tmp_path: Path, *, profile: Profile = FAST, line: BadLine | None = None
) -> AsyncIterator[tuple[WeirApp, Pilot[None], BadLine]]:
    """The screens at the far end of a bad line, as an administrator on the box sees them."""
    async with (
        bad_line(people.box.context.home.api_socket, tmp_path / "line.sock") as line,
        screens(line.socket, profile=profile) as (app, pilot),
    ):
        await eventually(lambda: app.known.loaded and app.known.rights.may("box:status"))
        yield app, pilot, line


async def opened(app: WeirApp, pilot: Pilot[None], place: Place) -> Frame:
    """The screen of a place, once what it asked for has come."""
    await home_again(app, pilot)
    goes(app, place)
    await eventually(lambda: app.frame.word == place.word, what=place.word)
    frame = app.frame
    if isinstance(frame, FetchedScreen):
        await eventually(lambda: frame.fetched or frame.trouble, what=f"what {place.word} asks for")
    await pilot.pause()
    return frame


def goes(app: WeirApp, place: Place) -> None:
    """Go to a place; one that is about an instance, to that of the first."""
    app.go(place.word, list(app.known.instances.values())[:1] if place.about else ())


async def home_again(app: WeirApp, pilot: Pilot[None]) -> None:
    """Esc until the first screen is there: no screen may hold anybody."""
    for _ in range(12):
        if isinstance(app.frame, InstancesScreen) and not app.frame.prompt.open and not app.frame.pattern:
            return
        if app.frame.prompt.open:
            await pilot.press("escape")
        else:
            app.frame.do_back()
    raise AssertionError(f"Esc does not lead back from {app.frame.word or app.frame.label()}")


def looks_right(app: WeirApp, word: str) -> str:
    """Nothing is wider than the screen, and no text has any power over the terminal."""
    lines = page(app)
    for line in lines:
        assert width(line) <= app.size.width, (word, line)
        bad = [char for char in line if unicodedata.category(char) == "Cc" or char in HIDDEN]
        assert not bad, (word, line, bad)
    return "\n".join(lines)


@pytest.mark.parametrize("profile", [FAST, ASCII], ids=["utf-8", "ascii"])
async def test_poisoned_texts_are_only_texts(people: People, tmp_path: Path, profile: Profile) -> None:
    async with over(people, tmp_path, profile=profile) as (app, pilot, line):
        line.poison = True
        app.reload()
        await eventually(lambda: any(NASTY in str(each.application.name) for each in app.known.instances.values()))
        for place in PLACES:
            await opened(app, pilot, place)
            whole = looks_right(app, place.word)
            assert not profile.ascii or whole.isascii(), (place.word, [char for char in whole if not char.isascii()])
            await pilot.press("y")  # all of the line
            looks_right(app, place.word)


async def test_lists_of_thousands_move_and_answer(people: People, tmp_path: Path) -> None:
    """A key is answered while thousands of lines come and go, on every screen."""
    async with over(people, tmp_path, profile=Profile(repaint_s=0.05, status_s=5)) as (app, pilot, line):
        line.many = 2000
        app.reload()
        await eventually(lambda: len(app.known.instances) == 2000)
        for place in PLACES:
            await opened(app, pilot, place)
            slowest = 0.0
            for key in ("pagedown", "G"):
                began = time.monotonic()
                await pilot.press(key)
                await pilot.pause()
                slowest = max(slowest, time.monotonic() - began)
            looks_right(app, place.word)
            assert slowest < 2.0, (place.word, slowest)


async def test_a_box_that_went_away_is_told_and_comes_back(people: People, tmp_path: Path) -> None:
    async with over(people, tmp_path) as (app, pilot, line):
        for place in PLACES:
            frame = await opened(app, pilot, place)
            before, said = page(app), getattr(frame, "trouble", "")
            await line.down()
            await eventually(lambda: app.known.lost, SAID_S)
            await eventually(lambda: "what you see is old" in "\n".join(page(app)), what=place.word)
            if isinstance(frame, FetchedScreen):
                frame.do_refresh()
                await pilot.press("j", "k")
                rows = [each for each in before if each.startswith("> ")]
                assert all(each in page(app) for each in rows), (place.word, rows, page(app))
            looks_right(app, place.word)
            await line.up()
            await pilot.press("ctrl+r")
            await eventually(lambda: not app.known.lost, SAID_S)
            await eventually(lambda: "what you see is old" not in "\n".join(page(app)), what=place.word)
            if isinstance(frame, FetchedScreen):
                await eventually(lambda: said == frame.trouble, SAID_S, what=place.word)  # noqa: B023 - at once


async def test_a_slow_box_holds_no_key(people: People, tmp_path: Path) -> None:
    """Every answer takes longer than anybody waits here; keys do not."""
    async with over(people, tmp_path) as (app, pilot, line):
        line.delay_s = 60
        for place in PLACES:
            await home_again(app, pilot)
            goes(app, place)
            await pilot.press("question_mark")
            await eventually(lambda: app.frame.word == "help", 5, what=place.word)
            await home_again(app, pilot)


async def test_a_refusal_is_said_and_nothing_breaks(people: People, tmp_path: Path) -> None:
    """Every GET is refused: each screen that asks says so, and Esc leads back."""
    async with over(people, tmp_path) as (app, pilot, line):
        line.refuses = True
        for place in PLACES:
            line.asked.clear()
            await opened(app, pilot, place)
            await pilot.pause(0.05)
            whole = looks_right(app, place.word)
            if any(not path.endswith(("/events", "/permissions", "/status", "/resources")) for _, path in line.asked):
                assert "not allowed" in whole, (place.word, line.asked, whole)


async def test_every_action_of_every_screen_bears_a_refusal(people: People, tmp_path: Path) -> None:
    """All that the key table has for a screen, one after the other, while no change is allowed; which key is which
    action, the tests of the table ask."""
    async with over(people, tmp_path) as (app, pilot, line):
        line.refuses_changes = True
        for place in PLACES:
            frame = await opened(app, pilot, place)
            of_all = {keytable.TABLE, keytable.LINES, keytable.ANYWHERE} if place.word != "stacks" else set()
            for what in keys.actions(frame.scopes):
                if what.scope in of_all or what.place or what.id in ("quit", "back", "before", "after", "last"):
                    continue
                app.frame.act(what)
                await pilot.pause()
                looks_right(app, f"{place.word} {what.name}")
                if app.frame.prompt.open:
                    app.frame._answered("[red]x\x1b[/]")
                    looks_right(app, f"{place.word} {what.name}")
                if app.frame is not frame or app.frame.prompt.open or app.frame.pattern:
                    frame = await opened(app, pilot, place)
        changes = {method for method, _ in line.asked} - {"GET"}
        assert changes, "nothing was tried"


async def test_who_may_only_look_is_offered_nothing_else(people: People, tmp_path: Path) -> None:
    """A viewer's footer and help name no change that the box would refuse; whole screens are kept from him."""
    vera = await people.add("viola", Role.VIEWER)
    url = f"http://127.0.0.1:{people.box.port}"
    async with screens(tmp_path / "none", url=url, token=vera.token or "") as (app, pilot):
        await eventually(lambda: app.known.loaded and app.known.rights.may("box:status"))
        for place in PLACES:
            if place.about and not app.known.rights.may(place.permission):
                continue
            await home_again(app, pilot)
            goes(app, place)
            await pilot.pause(0.1)
            if not app.known.may(place.permission):
                assert app.frame.word == "inst", place.word
                continue
            assert app.frame.word == place.word
            looks_right(app, place.word)
            footer = {label for _, label in app.keys.footer(app.frame.scopes, 500, app.frame.offers)}
            refused = [each for each in keys.actions(app.frame.scopes) if not app.frame.may(each.permission)]
            allowed = {each.label for each in keys.actions(app.frame.scopes) if app.frame.may(each.permission)}
            assert not footer & {each.label for each in refused} - allowed, place.word
            assert "shell" not in footer and all(
                each.needs != "shell" for each in keys.actions(app.frame.scopes) if app.frame.offers(each)
            )


async def test_every_name_that_a_command_takes_is_completed(people: People, tmp_path: Path) -> None:
    """Instances, teams and boxes by Tab; the name of a row by the word of the screen that shows it."""
    slug = (await people.root.ok("GET", f"/teams/{people.team}"))["slug"]
    wanted = {"instance": ("plant-", "plant-"), "team": (slug[:2], slug), "scope": ("plat", "platform")}
    wanted["box"] = ("else", "elsewhere")
    async with over(people, tmp_path) as (app, pilot, _):
        takes = {each.word: each.about or each.takes for each in PLACES if each.about or each.takes}
        takes |= {each.command: "instance" for each in keys.actions(("instance",)) if each.command}
        for word, kind in takes.items():
            begin, whole = wanted[kind]
            await asks(pilot, f"{word} {begin}")
            await eventually(lambda: becomes(app, f"{word} {begin}"), what=word)  # noqa: B023 - at once
            await pilot.press("tab")
            assert app.frame.prompt.value.startswith(f"{word} {whole}"), (word, app.frame.prompt.value)
            await pilot.press("escape")
        await opened(app, pilot, next(each for each in PLACES if each.word == "users"))
        await asks(pilot, "users ve")
        await pilot.press("tab", "enter")
        await eventually(lambda: app.frame.table.cells and app.frame.table.cells[0][0] == "vera")  # type: ignore[attr-defined]
        await asks(pilot, "stop plant-a pla")
        assert becomes(app, "stop plant-a pla") == ["stop plant-a plant-a", "stop plant-a plant-b"]


async def asks(pilot: Pilot[None], text: str) -> None:
    app = pilot.app
    assert isinstance(app, WeirApp)
    await pilot.press("colon")
    await eventually(lambda: app.frame.prompt.open)
    app.frame.prompt.put(text)
    await pilot.pause()


def becomes(app: WeirApp, text: str) -> list[str]:
    question = app.frame.prompt.question
    assert question is not None and question.offers is not None
    return question.offers(text)
