"""Personal access tokens over the API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.model import Role
from appliance.services.personal_tokens import KEPT_PER_USER
from appliance.store.values import to_ms
from tests.people_box import Caller, People, people_box
from tests.stores import Clock


@pytest.fixture
async def people(home: Path) -> AsyncIterator[People]:
    async with people_box(home) as made:
        yield made


async def test_a_token_is_made_listed_changed_and_deleted(people: People) -> None:
    body = {"name": "ci", "scope": "", "readOnly": True, "adminOptIn": True, "teamIds": [people.team]}
    made = await people.root.ok("POST", "/user/tokens", body)
    assert made["token"].startswith("ffpat_") and made["teams"] == [{"id": people.team, "name": "Home"}]
    (listed,) = (await people.root.ok("GET", "/user/tokens"))["tokens"]
    assert listed == {key: value for key, value in made.items() if key != "token"}
    user = Caller(people.box, made["token"], "tcp")
    assert (await user("PUT", f"/teams/{people.team}", {"name": "x"})).status == 403
    assert (await user("GET", "/users")).status == 403, "narrowed to a team, so no administrator's"
    path = f"/user/tokens/{made['id']}"
    changed = await people.root.ok("PUT", path, {"readOnly": False, "teamIds": None})
    assert (changed["readOnly"], changed["adminOptIn"], changed["teams"]) == (False, True, [])
    await user.ok("GET", "/users")
    await people.root.ok("PUT", path, {"adminOptIn": False})
    assert (await user("GET", "/users")).status == 403, "in force at once"
    answer = await people.root("DELETE", path)
    assert (answer.status, answer.text) == (204, "")
    assert (await user("GET", "/user")).status == 401
    assert (await people.root("DELETE", path)).status == 404
    assert (await people.events())[:4] == [
        "user.pat.deleted",
        "user.pat.updated",
        "user.pat.updated",
        "user.pat.created",
    ]


async def test_an_end_can_be_set_moved_and_taken_back(people: People) -> None:
    clock = people.box.context.clock
    assert isinstance(clock, Clock)
    soon = to_ms(clock.now) + 60_000
    made = await people.root.ok("POST", "/user/tokens", {"name": "short", "expiresAt": soon})
    user = Caller(people.box, made["token"], "tcp")
    clock.forward(seconds=60)
    assert (await user("GET", "/user")).status == 401
    path = f"/user/tokens/{made['id']}"
    assert (await people.root.ok("PUT", path, {"expiresAt": None}))["expiresAt"] is None
    await user.ok("GET", "/user")
    for bad in (soon, 0, -1, 2**62):
        assert (await people.root("PUT", path, {"expiresAt": bad})).status == 400, bad
    assert (await people.root("PUT", path, {"expiresAt": "tomorrow"})).status == 400


async def test_tokens_of_others_are_not_to_be_had(people: People) -> None:
    made = await people.root.ok("POST", "/user/tokens", {"name": "mine"})
    ann = await people.add("ann")
    assert (await ann("DELETE", f"/user/tokens/{made['id']}")).status == 404
    assert [each["name"] for each in (await ann.ok("GET", "/user/tokens"))["tokens"]] == ["test"]


async def test_a_token_makes_and_changes_no_token_but_may_end_itself(people: People) -> None:
    ann = await people.add("ann")
    refused = await ann("POST", "/user/tokens", {"name": "more"})
    assert (refused.status, refused.code) == (403, "pat_cannot_create_pat")
    (own,) = (await ann.ok("GET", "/user/tokens"))["tokens"]
    assert (await ann("PUT", f"/user/tokens/{own['id']}", {"readOnly": False})).code == "pat_cannot_create_pat"
    await ann("DELETE", f"/user/tokens/{own['id']}")
    assert (await ann("GET", "/user")).status == 401


async def test_the_console_makes_tokens_for_others(people: People) -> None:
    ann = await people.add("ann", Role.VIEWER)
    made = await people.root.ok("POST", f"/users/{ann.id}/tokens", {"name": "hers", "adminOptIn": True})
    hers = Caller(people.box, made["token"], "tcp")
    assert (await hers.ok("GET", "/user"))["username"] == "ann" and made["adminOptIn"] is False
    assert (await people.root("POST", "/users/nobody/tokens", {"name": "x"})).status == 404
    admin = await people.add("second", admin=True)
    assert (await admin("POST", f"/users/{ann.id}/tokens", {"name": "x"})).status == 403


async def test_an_administrators_token_does_not_come_alive_with_a_later_right(people: People) -> None:
    ann = await people.add("ann")
    made = await people.root.ok("POST", f"/users/{ann.id}/tokens", {"name": "early", "adminOptIn": True})
    await people.root.ok("PUT", f"/users/{ann.id}", {"admin": True})
    assert (await Caller(people.box, made["token"], "tcp")("GET", "/users")).status == 403


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"name": ""}, "invalid_request"),
        ({"name": "x" * 129}, "invalid_request"),
        ({"name": "a\x1b[31m"}, "invalid_request"),
        ({"name": "x", "teamIds": ["nowhere"]}, "invalid_team"),
        ({"name": "x", "teamIds": "all"}, "invalid_request"),
        ({"name": "x", "expiresAt": 5}, "invalid_request"),
    ],
)
async def test_bad_tokens(people: People, body: dict[str, object], code: str) -> None:
    answer = await people.root("POST", "/user/tokens", body)
    assert (answer.status, answer.code) == (400, code)


async def test_nobody_has_more_tokens_than_he_can_look_through(people: People) -> None:
    for number in range(KEPT_PER_USER):
        await people.root.ok("POST", "/user/tokens", {"name": f"t{number}"})
    assert "at most" in (await people.root("POST", "/user/tokens", {"name": "more"})).text


async def test_a_token_for_some_teams_leaves_the_account_alone(people: People) -> None:
    ann = await people.add("ann", Role.OWNER)
    narrow = await people.again(ann.user, team_ids=[people.team])
    await narrow.ok("GET", "/user")
    await narrow.ok("PUT", f"/teams/{people.team}", {"name": "Ours"})
    for method, path, body in (
        ("PUT", "/user", {"email": "eve@example.com"}),
        ("DELETE", "/user", None),
        ("GET", "/user/tokens", None),
        ("PUT", "/user/change_password", {"old_password": "x", "password": "y"}),
        ("GET", "/user/invitations", None),
        ("PUT", f"/users/{ann.id}", {"email": "eve@example.com"}),
    ):
        assert (await narrow(method, path, body)).status == 403, (method, path)
