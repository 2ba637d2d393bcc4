"""`GET /user/permissions`, and what the screens make of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from appliance.auth.permissions import PERMISSIONS
from appliance.model import Role
from appliance.schema.users import OwnPermissions
from tests.people_box import Caller, People, people_box
from tui.rights import Rights


@pytest.fixture
async def people(home: Path) -> AsyncIterator[People]:
    async with people_box(home) as found:
        yield found


async def rights(caller: Caller) -> Rights:
    found = Rights()
    found.tell(msgspec.convert(await caller.ok("GET", "/user/permissions"), OwnPermissions))
    return found


async def test_everybody_learns_what_he_may(people: People) -> None:
    team = people.team
    root, viewer = await rights(people.root), await rights(await people.add("vera", Role.VIEWER))
    owner = await people.add("olaf", Role.OWNER)
    mine = await rights(owner)
    assert all(root.may(name, "any") and root.may(name) for name in PERMISSIONS)
    assert mine.may("project:delete", team) and not mine.may("project:delete", "other") and not mine.may("user:list")
    assert viewer.may("project:log", team) and not viewer.may("project:change-status", team)
    assert viewer.may("stack:list") and viewer.may("stack:list", "other")


async def test_a_credential_may_less_than_its_person(people: People) -> None:
    owner = await people.add("olaf", Role.OWNER)
    reading = await rights(await people.again(owner.user, read_only=True))
    assert reading.may("project:log", people.team) and not reading.may("project:change-status", people.team)
    narrowed = await rights(await people.again(owner.user, team_ids=[people.team]))
    assert narrowed.may("project:delete", people.team) and not narrowed.may("user:token:list")
    chief = await people.add("ada", admin=True, team_ids=[people.team])
    found = await rights(chief)
    assert found.may("project:delete", people.team) and not found.may("project:delete", "other")
    assert not found.may("settings:edit")


async def test_the_permissions_are_those_that_the_routes_ask(people: People) -> None:
    viewer = await people.add("vera", Role.VIEWER)
    asked = await viewer("GET", "/users")
    assert asked.status == 403 and not (await rights(viewer)).may("user:list")
    assert (await people.nobody("GET", "/user/permissions")).status == 401


def test_before_the_box_has_said_nothing_is_offered_and_an_older_box_says_nothing() -> None:
    found = Rights()
    assert found.may("") and not found.may("project:delete")
    found.tell(None)
    assert found.may("project:delete", "any")
