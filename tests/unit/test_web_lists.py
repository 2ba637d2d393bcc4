"""Lists of the API: numbered pages, sorting, search, and applications with what is in them."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.schema.catalogue import CreateStack
from appliance.schema.snapshots import CreateSnapshot
from appliance.schema.users import CreateApplication
from tests.web_box import API, WebBox


async def ask(box: WebBox, path: str, status: int = 200) -> Any:
    async with box.client("api").get(API + path) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json()


async def _team(box: WebBox) -> str:
    return str((await ask(box, "/user/teams"))["teams"][0]["id"])


async def _stacks(box: WebBox) -> None:
    admin = await box.services.accounts.root()
    for name in ("Beta", "alpha"):
        properties = {"nodered": "5", "build": "node-red-5"}
        await box.services.catalogue.stacks.create(admin, CreateStack(name=name, properties=properties))


async def test_lists_of_the_catalogue_have_numbered_pages_and_sorts(box: WebBox) -> None:
    await _stacks(box)
    first = await ask(box, "/stacks?filter=all&page=1&limit=2&sort=name")
    assert [each["name"] for each in first["stacks"]] == ["alpha", "Beta"]
    assert first["meta"] == {"page": 1, "pageSize": 2, "total": 3, "pageCount": 2}
    last = await ask(box, "/stacks?filter=all&page=2&limit=2&sort=name")
    assert [each["name"] for each in last["stacks"]] == ["node-red-5"]
    down = await ask(box, "/stacks?filter=all&sort=name&dir=desc&query=A")
    assert [each["name"] for each in down["stacks"]] == ["node-red-5", "Beta", "alpha"][1:]
    for path in ("/stacks", "/templates", "/project-types"):
        refused = await ask(box, f"{path}?sort=colour", 400)
        assert refused["code"] == "invalid_request" and "name" in refused["hint"]


@pytest.mark.parametrize("path", ["/stacks", "/templates", "/project-types", "/users", "/team-types", "/teams"])
async def test_a_cursor_of_another_list_is_refused(box: WebBox, path: str) -> None:
    await _stacks(box)
    refused = await ask(box, f"{path}?cursor=elsewhere1", 400)
    assert "cursor" in refused["error"]
    everything = next(value for value in (await ask(box, path)).values() if isinstance(value, list))
    assert (await ask(box, f"{path}?cursor={everything[-1]['id']}"))["count"] == 0


async def test_instances_of_a_team_are_sorted_and_chosen_by_state(box: WebBox) -> None:
    team = await _team(box)
    for name in ("b-one", "c-two", "a-three"):
        await box.instance(name)
    path = f"/teams/{team}/projects"
    found = await ask(box, f"{path}?sort=name&dir=desc&page=1&limit=2")
    assert [each["name"] for each in found["projects"]] == ["c-two", "b-one"]
    assert found["meta"]["total"] == 3
    assert (await ask(box, f"{path}?state=running"))["count"] == 0
    assert (await ask(box, f"{path}?state=running&state=starting&orderByMostRecentFlows=true"))["count"] == 3
    assert (await ask(box, f"{path}?sort=application.name"))["count"] == 3


async def test_applications_come_with_what_is_in_them(box: WebBox) -> None:
    team = await _team(box)
    admin = await box.services.accounts.root()
    first, second = [await box.instance(name) for name in ("one", "two")]
    await box.services.snapshots.create(admin, first.id, CreateSnapshot(name="kept"))
    await box.services.teams.create_application(admin, CreateApplication(name="empty", team_id=team))
    full, empty = (await ask(box, f"/teams/{team}/applications"))["applications"]
    assert (full["instanceCount"], full["snapshotCount"], full["deviceCount"]) == (2, 1, 0)
    assert [each["id"] for each in full["instances"]] == [first.id, second.id]
    assert (empty["instanceCount"], empty["instances"], empty["devices"]) == (0, [], [])
    (short, _) = (await ask(box, f"/teams/{team}/applications?associationsLimit=1"))["applications"]
    assert (short["instanceCount"], len(short["instances"])) == (2, 1)
    (bare, _) = (await ask(box, f"/teams/{team}/applications?includeInstances=false"))["applications"]
    assert "instances" not in bare and bare["instanceCount"] == 2
    states, none = (await ask(box, f"/teams/{team}/applications/status?associationsLimit=1"))["applications"]
    assert len(states["instances"]) == 1 and "state" in states["instances"][0]["meta"] and none["instances"] == []


async def test_a_search_looks_through_one_team(box: WebBox) -> None:
    team = await _team(box)
    made = await box.instance("pump-7")
    found = await ask(box, f"/search?team={team}&query=PUMP")
    assert [(each["object"], each["id"]) for each in found["results"]] == [("instance", made.id)]
    assert (await ask(box, f"/search/instances?team={team}&query=application"))["count"] == 0
    assert (await ask(box, f"/search?team={team}&query=application"))["results"][0]["object"] == "application"
    for query in ("", "%25", "_"):
        assert (await ask(box, f"/search?team={team}&query={query}"))["count"] == 0
    assert (await ask(box, "/search?team=nowhere123&query=p", 404))["code"] == "not_found"
    await ask(box, "/search?query=p", 400)
