"""Teams, their types and members over the API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.model import Desired, Role
from appliance.schema.common import AuditQuery
from tests.people_box import People, people_box


@pytest.fixture
async def people(home: Path) -> AsyncIterator[People]:
    async with people_box(home) as made:
        yield made


async def test_a_team_is_made_changed_and_deleted(people: People) -> None:
    kind = (await people.root.ok("GET", "/team-types"))["types"][0]
    made = await people.root.ok("POST", "/teams", {"name": " Line 2 ", "type": kind["id"]})
    assert (made["name"], made["slug"], made["type"]["name"], made["memberCount"]) == ("Line 2", "line-2", "starter", 1)
    assert made["links"]["self"].endswith(f"/api/v1/teams/{made['id']}")
    changed = await people.root.ok("PUT", f"/teams/{made['id']}", {"name": "Line two", "slug": "LINE_2"})
    assert (changed["name"], changed["slug"]) == ("Line two", "line_2")
    assert (await people.root.ok("GET", "/teams/slug/line_2"))["id"] == made["id"]
    assert (await people.events("team", made["id"]))[:2] == ["team.settings.updated", "team.created"]
    await people.root.ok("DELETE", f"/teams/{made['id']}")
    assert (await people.root("GET", f"/teams/{made['id']}")).status == 404
    assert (await people.events())[:2] == ["platform.team.deleted", "platform.team.created"]


async def test_only_administrators_make_teams_unless_the_platform_says_so(people: People) -> None:
    ann = await people.add("ann")
    refused = await ann("POST", "/teams", {"name": "Mine"})
    assert (refused.status, refused.code) == (403, "unauthorized")
    await people.root.ok("PUT", "/settings", {"team:create": True})
    made = await ann.ok("POST", "/teams", {"name": "Mine"})
    assert (await ann.ok("GET", f"/teams/{made['id']}/user"))["role"] == 50


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"name": ""}, "invalid_request"),
        ({"name": "  "}, "invalid_request"),
        ({"name": "x" * 129}, "invalid_name"),
        ({"name": "a\x00b"}, "invalid_name"),
        ({"name": "N", "slug": "create"}, "invalid_slug"),
        ({"name": "N", "slug": "a/b"}, "invalid_slug"),
        ({"name": "N", "slug": "home"}, "invalid_slug"),
        ({"name": "N", "slug": "x" * 65}, "invalid_slug"),
        ({"name": "N", "type": "nowhere"}, "invalid_team_type"),
        ({"name": 5}, "invalid_request"),
        ({}, "invalid_request"),
        ([], "invalid_request"),
    ],
)
async def test_bad_teams_are_refused(people: People, body: object, code: str) -> None:
    answer = await people.root("POST", "/teams", body)
    assert (answer.status, answer.code) == (400, code), answer.text
    assert (await people.root.ok("GET", "/teams"))["count"] == 1


async def test_slugs_are_checked_and_made_unique(people: People) -> None:
    assert await people.root.ok("POST", "/teams/check-slug", {"slug": "free"}) == {"status": "okay"}
    for slug in ("home", "HOME", "create", "", "a b", "ä"):
        answer = await people.root("POST", "/teams/check-slug", {"slug": slug})
        assert (answer.status, answer.code) == (409, "invalid_slug"), slug
    made = [(await people.root.ok("POST", "/teams", {"name": "Home"}))["slug"] for _ in range(2)]
    assert made == ["home-1", "home-2"]


async def test_a_team_with_instances_stays(people: People) -> None:
    await people.box.instance("plant")
    answer = await people.root("DELETE", f"/teams/{people.team}")
    assert (answer.status, answer.code) == (400, "unexpected_error") and "1 instances" in answer.text


async def test_a_suspended_team_stands_still_and_goes_on(people: People) -> None:
    owner = await people.add("owner", Role.OWNER)
    plant = await people.box.instance("plant")
    grant = await people.box.boot(plant)
    people.box.pokes.clear()
    path = f"/teams/{people.team}"
    assert (await owner("PUT", path, {"suspended": True})).code == "forbidden"
    assert (await people.root("PUT", path, {"suspended": True, "name": "x"})).code == "invalid_request"
    assert (await people.root.ok("PUT", path, {"suspended": True}))["suspended"] is True
    spec = await people.box.services.instances.spec(plant.id)
    assert spec is not None and spec.desired is Desired.SUSPENDED
    for method, where, body in (
        ("POST", f"/projects/{plant.id}/actions/start", None),
        ("POST", "/applications", {"name": "a", "teamId": people.team}),
        ("POST", "/projects", {"name": "n", "applicationId": plant.application.id}),
        ("PUT", path, {"name": "x"}),
        ("POST", f"{path}/invitations", {"user": "x"}),
    ):
        refused = await owner(method, where, body)
        assert (refused.status, refused.code) == (403, "forbidden"), (method, where)
    await owner.ok("GET", path)
    await people.box.services.tokens.verify(grant.token)
    assert {"team.suspended", "project.suspended"} <= set(await people.of_team())
    assert "platform.team.suspended" in await people.events()
    await people.root.ok("PUT", path, {"suspended": False})
    await owner.ok("PUT", path, {"name": "Again"})
    assert "team.unsuspended" in await people.of_team()


async def test_dashboard_users_see_a_summary_of_the_team(people: People) -> None:
    low, high = await people.add("low", Role.DASHBOARD), await people.add("high", Role.VIEWER)
    seen = await low.ok("GET", f"/teams/{people.team}")
    assert set(seen) == {"id", "name", "slug", "avatar", "suspended", "links"}
    assert "memberCount" in await high.ok("GET", f"/teams/{people.team}")


async def test_instances_are_counted_by_their_state(people: People) -> None:
    plant = await people.box.instance("plant")
    await people.box.instance("other")
    await people.root.ok("POST", f"/projects/{plant.id}/actions/suspend")
    path = f"/teams/{people.team}/instance-counts"
    counts = await people.root.ok("GET", path)
    assert counts["suspended"] == 1 and sum(counts.values()) == 2
    assert await people.root.ok("GET", f"{path}?state=suspended&state=crashed") == {"suspended": 1, "crashed": 0}
    assert await people.root.ok("GET", f"{path}?applicationId=nowhere") == {}
    assert await people.root.ok("GET", f"{path}?instanceType={plant.project_type.id}&state=suspended") == {
        "suspended": 1
    }


async def test_there_is_no_broker(people: People) -> None:
    answer = await people.root("POST", f"/teams/{people.team}/comms-credentials")
    assert (answer.status, answer.code) == (503, "comms_unavailable")


# Types


async def test_types_of_teams(people: People) -> None:
    body = {"name": "small", "properties": {"users": {"limit": 2}}, "order": 5, "active": False, "description": "d"}
    made = await people.root.ok("POST", "/team-types", body)
    assert (made["name"], made["active"], made["order"], made["teamCount"]) == ("small", False, 5, 0)
    ann = await people.add("ann")
    listed = await ann.ok("GET", "/team-types")
    assert [each["name"] for each in listed["types"]] == ["starter"] and "teamCount" not in listed["types"][0]
    assert (await ann.ok("GET", "/team-types?filter=all"))["count"] == 2
    assert (await ann.ok("GET", f"/team-types/{made['id']}"))["properties"] == {"users": {"limit": 2}}
    changed = await people.root.ok("PUT", f"/team-types/{made['id']}", {"active": True, "order": -1})
    assert (changed["active"], changed["order"], changed["name"]) == (True, -1, "small")
    for bad in ({"name": ""}, {"name": "starter"}, {"name": "x", "properties": {"users": {"limit": "many"}}}):
        assert (await people.root("POST", "/team-types", bad)).status == 400, bad
    assert (await people.root("GET", "/team-types?filter=some")).status == 400
    used = await people.root("DELETE", f"/team-types/{listed['types'][0]['id']}")
    assert (used.status, used.code) == (400, "unexpected_error")
    await people.root.ok("DELETE", f"/team-types/{made['id']}")
    for method in ("GET", "PUT", "DELETE"):
        answer = await people.root(method, f"/team-types/{made['id']}", {} if method == "PUT" else None)
        assert (answer.status, answer.code) == (404, "not_found")


async def test_the_limits_of_a_type_hold(people: People) -> None:
    kind = await people.root.ok("POST", "/team-types", {"name": "small", "properties": {"users": {"limit": 2}}})
    await people.root.ok("PUT", f"/teams/{people.team}", {"type": kind["id"]})
    assert "team.type.changed" in await people.of_team()
    for name in ("ann", "bo", "cy"):
        await people.add(name)
    members = f"/teams/{people.team}/members"
    assert (await people.root.ok("POST", members, {"user": "ann"}))["role"] == 30
    full = await people.root("POST", members, {"user": "bo"})
    assert (full.status, full.code) == (400, "member_limit_reached")
    refused = await people.root.ok("POST", f"/teams/{people.team}/invitations", {"user": "cy"})
    assert "at most 2 members" in refused["error"]["cy"]
    tiny = await people.root.ok("POST", "/team-types", {"name": "tiny", "properties": {"users": {"limit": 1}}})
    answer = await people.root("PUT", f"/teams/{people.team}", {"type": tiny["id"]})
    assert (answer.status, answer.code) == (400, "invalid_team_type")


async def test_owners_choose_active_types_only(people: People) -> None:
    owner = await people.add("owner", Role.OWNER)
    kind = await people.root.ok("POST", "/team-types", {"name": "kept back", "active": False})
    assert (await owner("PUT", f"/teams/{people.team}", {"type": kind["id"]})).code == "invalid_team_type"
    assert (await owner("PUT", f"/teams/{people.team}", {"properties": {"a": 1}})).code == "forbidden"
    assert (await people.root.ok("PUT", f"/teams/{people.team}", {"properties": {"a": 1}}))["properties"] == {"a": 1}


# Members


async def test_members_are_listed_promoted_and_removed(people: People) -> None:
    owner, ann = await people.add("owner", Role.OWNER), await people.add("ann", Role.VIEWER)
    path = f"/teams/{people.team}/members"
    members = await ann.ok("GET", path)
    assert [(member["username"], member["role"]) for member in members["members"]] == [
        ("admin", 50),
        ("owner", 50),
        ("ann", 10),
    ]
    assert members["count"] == 3 and "email" not in members["members"][0]
    await owner.ok("PUT", f"{path}/{ann.id}", {"role": 50})
    await ann.ok("PUT", f"/teams/{people.team}", {"name": "Ours"})
    await ann.ok("PUT", f"{path}/{owner.id}", {"role": 5})
    assert (await owner("GET", path)).status == 403
    await ann.ok("DELETE", f"{path}/{owner.id}")
    assert (await owner("GET", f"/teams/{people.team}")).status == 404
    log = await people.box.services.audit.page("team", people.team, AuditQuery())
    assert [entry.event for entry in log.log][:2] == ["team.user.removed", "team.user.role-changed"]
    assert log.log[1].body["updates"] == [{"key": "role", "old": "owner", "new": "dashboard", "dif": "updated"}]


async def test_a_team_keeps_an_owner(people: People) -> None:
    me = (await people.root.ok("GET", "/user"))["id"]
    path = f"/teams/{people.team}/members/{me}"
    demoted = await people.root("PUT", path, {"role": 30})
    assert (demoted.status, demoted.code) == (403, "invalid_request")
    removed = await people.root("DELETE", path)
    assert (removed.status, removed.code) == (400, "invalid_request")
    await people.add("second", Role.OWNER)
    await people.root.ok("PUT", path, {"role": 30})


async def test_anybody_may_leave_but_not_remove_others(people: People) -> None:
    ann, bo = await people.add("ann", Role.VIEWER), await people.add("bo", Role.VIEWER)
    path = f"/teams/{people.team}/members"
    assert (await ann("DELETE", f"{path}/{bo.id}")).status == 403
    assert (await ann("PUT", f"{path}/{ann.id}", {"role": 50})).status == 403, "nobody promotes himself"
    await ann.ok("DELETE", f"{path}/{ann.id}")
    assert (await ann("GET", f"/teams/{people.team}")).status == 404


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"role": 99}, 400, "invalid_team_role"),
        ({"role": 0}, 400, "invalid_team_role"),
        ({"role": 31}, 400, "invalid_team_role"),
        ({"role": "owner"}, 400, "invalid_request"),
        ({}, 400, "invalid_request"),
        ({"role": 30, "permissions": {}}, 400, "invalid_request"),
        ({"permissions": {"applications": {}}}, 400, "invalid_request"),
    ],
)
async def test_bad_roles(people: People, body: dict[str, object], status: int, code: str) -> None:
    ann = await people.add("ann", Role.VIEWER)
    answer = await people.root("PUT", f"/teams/{people.team}/members/{ann.id}", body)
    assert (answer.status, answer.code) == (status, code), answer.text


async def test_administrators_add_members_directly(people: People) -> None:
    owner, ann = await people.add("owner", Role.OWNER), await people.add("ann")
    path = f"/teams/{people.team}/members"
    assert (await owner("POST", path, {"user": "ann"})).status == 403, "an owner invites"
    assert (await people.root.ok("POST", path, {"user": "ANN@example.com", "role": 10}))["id"] == ann.id
    assert "already" in (await people.root("POST", path, {"user": ann.id})).text
    assert (await people.root("POST", path, {"user": "nobody"})).status == 404
    assert (await people.root("POST", path, {"user": "owner", "role": 7})).code == "invalid_team_role"
