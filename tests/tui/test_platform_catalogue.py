"""What instances are made of on the screens, against a real appliance: what its API says after."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from appliance.model import Role
from tests.people_box import People, people_box
from tests.support import eventually
from tests.tui.platform_rig import NASTY, at, fills, goes, page, reads, typed
from tui.app import WeirApp


@pytest.fixture
async def people(home: Path) -> AsyncIterator[People]:
    async with people_box(home) as found:
        yield found


def chooses(app: WeirApp, ident: str) -> None:
    """Put the cursor on a row."""
    table: Any = app.frame.table  # type: ignore[attr-defined]
    table.move_to(table.keys.index(ident))


async def test_an_application_is_made_changed_described_and_deleted(people: People) -> None:
    async with at(people) as (app, pilot):
        await goes(pilot, "apps")
        await reads(app, "DESCRIPTION")
        await pilot.press("c")
        await fills(pilot, {"name": NASTY})
        await reads(app, "is made", "[red]x[/] 計計", "DESCRIPTION")
        listed = (await people.root.ok("GET", f"/teams/{people.team}/applications"))["applications"]
        made = next(each["id"] for each in listed if each["name"] == NASTY)
        chooses(app, made)
        await pilot.press("E")
        await fills(pilot, {"name": "Boilers"})
        await reads(app, "Boilers is changed")
        chooses(app, made)
        await pilot.press("e", *"heat", "ctrl+s")
        await reads(app, "description of Boilers is changed", "heat")
        found = await people.root.ok("GET", f"/applications/{made}")
        assert (found["name"], found["description"]) == ("Boilers", "heat")
        chooses(app, made)
        await pilot.press("x")
        await typed(pilot, "Boilers")
        await reads(app, "Boilers is deleted")
        assert (await people.root("GET", f"/applications/{made}")).status == 404


async def test_a_stack_is_made_withdrawn_and_deleted(people: People) -> None:
    async with at(people) as (app, pilot):
        await goes(pilot, "stacks")
        await reads(app, "ON THE BOX", "offered")
        await pilot.press("c")
        await reads(app, "Memory, MB")
        await fills(pilot, {"name": "small", "nodered": "5", "memory": "lots"})
        await reads(app, "a number of megabytes")
        await fills(pilot, {"memory": "128"})
        await reads(app, "small is made", "ON THE BOX")
        made = await _of(people, "/stacks?filter=all", "stacks", "small")
        assert made["properties"]["memory"] == "128"
        chooses(app, made["id"])
        await pilot.press("o")
        await reads(app, "small is not offered any more", "withdrawn")
        assert (await people.root.ok("GET", f"/stacks/{made['id']}"))["active"] is False
        await pilot.press("E")
        await fills(pilot, {"label": NASTY})
        await reads(app, "small is changed", "[red]x[/] 計計")
        chooses(app, made["id"])
        await pilot.press("enter")
        await reads(app, "on the box     built", "[red]x[/] 計計", "memory")
        await pilot.press("escape", "x")
        await typed(pilot, "small")
        await reads(app, "small is deleted")
        assert (await people.root("GET", f"/stacks/{made['id']}")).status == 404


async def test_a_template_is_made_and_its_settings_are_changed_and_locked(people: People) -> None:
    async with at(people) as (app, pilot):
        await goes(pilot, "templates")
        await reads(app, "DESCRIPTION")
        await pilot.press("c")
        await fills(pilot, {"name": "hall", "description": NASTY})
        await reads(app, "hall is made", "[red]x[/] 計計")
        made = (await _of(people, "/templates", "templates", "hall"))["id"]
        chooses(app, made)
        await pilot.press("enter")
        await reads(app, "disableEditor", "may change")
        chooses(app, "theme")
        await pilot.press("enter")
        await typed(pilot, "dark", clear=True)
        await reads(app, "theme is changed")
        await pilot.press("o")
        await reads(app, "instances may not change theme")
        chooses(app, "httpNodeAuth.pass")
        await pilot.press("enter")
        await typed(pilot, "much too secret")
        whole = await reads(app, "httpNodeAuth.pass is changed", "(set)")
        assert "much too secret" not in whole
        found = await people.root.ok("GET", f"/templates/{made}")
        assert found["settings"]["theme"] == "dark"
        assert found["policy"]["theme"] is False
        assert found["settings"]["httpNodeAuth"]["pass"]
        await pilot.press("escape")
        await reads(app, "DESCRIPTION")
        chooses(app, made)
        await pilot.press("x")
        await typed(pilot, "hall")
        await reads(app, "hall is deleted")


async def test_a_type_is_made_ordered_and_deleted(people: People) -> None:
    async with at(people) as (app, pilot):
        await goes(pilot, "types")
        await reads(app, "STACKS")
        await pilot.press("c")
        await fills(pilot, {"name": "tiny", "order": "-3", "description": NASTY})
        await reads(app, "tiny is made", "[red]x[/] 計計")
        made = await _of(people, "/project-types?filter=all", "types", "tiny")
        assert made["order"] == -3
        chooses(app, made["id"])
        await pilot.press("E")
        await reads(app, "Default stack")
        await fills(pilot, {"order": "4"})
        await reads(app, "tiny is changed")
        assert (await people.root.ok("GET", f"/project-types/{made['id']}"))["order"] == 4
        chooses(app, made["id"])
        await pilot.press("x")
        await typed(pilot, "tiny")
        await reads(app, "tiny is deleted")
        assert (await people.root("GET", f"/project-types/{made['id']}")).status == 404


async def test_what_instances_use_is_not_deleted_and_members_only_look(people: People) -> None:
    await people.box.instance("plant-a")
    stack = (await people.root.ok("GET", "/stacks"))["stacks"][0]
    async with at(people) as (app, pilot):
        await goes(pilot, "stacks")
        await reads(app, stack["name"])
        chooses(app, stack["id"])
        await pilot.press("x")
        await typed(pilot, stack["name"])
        await reads(app, "instance")
        assert (await people.root("GET", f"/stacks/{stack['id']}")).status == 200
    mona = await people.add("mona", Role.MEMBER)
    async with at(people, mona) as (app, pilot):
        for word in ("apps", "stacks", "templates", "types"):
            await goes(pilot, word)
            await eventually(lambda: app.frame.fetched and len(app.frame.table.keys))  # type: ignore[attr-defined]
            assert not {"x delete", "c new", "o offer"} & {part.strip() for part in page(app)[-1].split("  ")}
            await pilot.press("x")
            await reads(app, "your role does not let you delete")


async def _of(people: People, path: str, key: str, name: str) -> Any:
    listed = (await people.root.ok("GET", path))[key]
    return next(each for each in listed if each["name"] == name)
