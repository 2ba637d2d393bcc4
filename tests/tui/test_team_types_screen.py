"""The types of teams on the screens: what may be had, against a real appliance and alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from appliance.model import Role
from tests.people_box import People, people_box
from tests.tui.platform_rig import NASTY, at, fills, goes, reads, typed
from tui.screens.team_types import limit, with_limits


@pytest.fixture
async def people(home: Path) -> AsyncIterator[People]:
    async with people_box(home) as found:
        yield found


async def test_a_type_of_teams_is_made_limited_and_deleted(people: People) -> None:
    kind = (await people.root.ok("GET", "/project-types"))["types"][0]["id"]
    async with at(people) as (app, pilot):
        await goes(pilot, "teamtypes")
        await reads(app, "MEMBERS", "starter")
        await pilot.press("c")
        await reads(app, "of type Default")
        await fills(pilot, {"name": "small", "description": NASTY, "limit users": "many"})
        await reads(app, "a whole number, or nothing")
        await fills(pilot, {"limit users": "3", "limit runtimes": "2"})
        await reads(app, "small is made", "[red]x[/] 計計")
        made = await of(people, "small")
        assert made["properties"] == {"users": {"limit": 3}, "runtimes": {"limit": 2}}
        table: Any = app.frame.table  # type: ignore[attr-defined]
        table.move_to(table.keys.index(made["id"]))
        await pilot.press("E")
        await reads(app, "of type Default")
        await fills(pilot, {"limit users": "", f"limit {kind}": "1"})
        await reads(app, "small is changed")
        wanted = {"users": {}, "runtimes": {"limit": 2}, "instances": {kind: {"active": True, "limit": 1}}}
        assert (await of(people, "small"))["properties"] == wanted
        await pilot.press("o")
        await reads(app, "withdrawn")
        await pilot.press("enter")
        await reads(app, "as many as come", "runtimes")
        await pilot.press("escape", "x")
        await typed(pilot, "small")
        await reads(app, "small is deleted")
    vera = await people.add("vera", Role.VIEWER)
    async with at(people, vera) as (app, pilot):
        await goes(pilot, "teamtypes")
        await reads(app, "starter", "Enter show", without="c new")


async def of(people: People, name: str) -> Any:
    listed = (await people.root.ok("GET", "/team-types?filter=all"))["types"]
    return next(each for each in listed if each["name"] == name)


@pytest.mark.parametrize(
    ("before", "given", "after"),
    [
        ({}, {}, {}),
        ({"features": {"x": True}}, {"users": "5"}, {"features": {"x": True}, "users": {"limit": 5}}),
        # No type was named: all were allowed, and they stay so when one of them gets a limit.
        ({}, {"a": "1", "b": ""}, {"instances": {"a": {"active": True, "limit": 1}, "b": {"active": True}}}),
        # Some are named: what is not named is not allowed, and does not become so by another's limit.
        (
            {"instances": {"a": {"active": False}}},
            {"a": "2", "b": ""},
            {"instances": {"a": {"active": False, "limit": 2}}},
        ),
        (
            {"instances": {"a": {"active": True, "limit": 9}}},
            {"a": "", "b": "1"},
            {"instances": {"a": {"active": True}, "b": {"active": True, "limit": 1}}},
        ),
    ],
)
def test_limits_leave_all_else_alone(before: dict[str, Any], given: dict[str, str], after: dict[str, Any]) -> None:
    assert with_limits(before, given) == after


@pytest.mark.parametrize(("found", "text"), [({}, ""), ({"users": {"limit": -1}}, ""), ({"users": {"limit": 0}}, "0")])
def test_a_limit_in_words(found: dict[str, Any], text: str) -> None:
    assert limit(found, "users") == text
