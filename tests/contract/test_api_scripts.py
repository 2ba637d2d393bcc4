"""The public API as a script drives it that was written for the reference: a personal access token, the reference's
paths, fields and statuses (platform model §1, §4, §7, §12), and nothing of our own."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from appliance.model import Role
from tests.contract.reference_routes import ENTITIES
from tests.people_box import Caller, People, people_box

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
UUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}")
HASHID = re.compile(r"[A-Za-z0-9]{10,}")
PASSWORD = "a long enough pass phrase 9"
NODES = [{"id": "a1", "type": "tab", "label": "Flow 1"}, {"id": "b2", "type": "inject", "z": "a1"}]


class Script:
    """An administrator's script with what it has made so far."""

    def __init__(self, people: People, admin: Caller) -> None:
        self.people = people
        self.call = admin

    async def made(self, entity: str, method: str, path: str, body: Any) -> dict[str, Any]:
        """What was answered with 200, which has all fields of the entity."""
        answer = await self.call(method, path, body)
        assert answer.status == 200, (method, path, answer.text)
        assert answer.headers["Content-Type"].startswith("application/json")
        missing = set(ENTITIES[entity].split()) - set(answer.json)
        assert not missing, (entity, missing)
        return dict(answer.json)

    async def listed(self, path: str, key: str) -> list[dict[str, Any]]:
        found = await self.call.ok("GET", path)
        assert found["count"] == len(found[key])
        return list(found[key])

    async def instance(self, name: str) -> dict[str, Any]:
        """As scripts make one: all ids looked up before."""
        team = (await self.listed("/user/teams", "teams"))[0]
        applications = await self.listed(f"/teams/{team['id']}/applications", "applications")
        types = await self.listed("/project-types", "types")
        stacks = await self.listed(f"/stacks?projectType={types[0]['id']}", "stacks")
        templates = await self.listed("/templates", "templates")
        body = {
            "name": name,
            "applicationId": applications[0]["id"],
            "projectType": types[0]["id"],
            "stack": stacks[0]["id"],
            "template": templates[0]["id"],
        }
        return await self.made("Instance", "POST", "/projects", body)


@pytest.fixture
async def script(home: Path) -> AsyncIterator[Script]:
    async with people_box(home) as people:
        yield Script(people, await people.add("robot", Role.OWNER, admin=True))


async def test_accounts_teams_and_applications(script: Script) -> None:
    call = script.call
    body = {"name": "Sam Smith", "username": "sam", "password": PASSWORD, "email": "sam@example.com"}
    user = await script.made("User", "POST", "/users", {**body, "isAdmin": False, "createDefaultTeam": False})
    assert HASHID.fullmatch(user["id"]) and MOMENT.fullmatch(user["createdAt"])
    assert (user["username"], user["admin"], user["suspended"], user["email_verified"]) == ("sam", False, False, True)
    assert (await call("POST", "/users", body)).status == 400, "the name is taken"
    changed = await script.made("User", "PUT", f"/users/{user['id']}", {"name": "Sam", "suspended": True})
    assert (changed["name"], changed["suspended"]) == ("Sam", True)

    types = await script.listed("/team-types", "types")
    assert (await call.ok("POST", "/teams/check-slug", {"slug": "plant-2"})) == {"status": "okay"}
    new = {"name": "Plant 2", "slug": "plant-2", "type": types[0]["id"]}
    team = await script.made("Team", "POST", "/teams", new)
    assert (team["slug"], team["memberCount"], team["instanceCount"]) == ("plant-2", 1, 0)
    assert team["links"]["self"].endswith(f"/api/v1/teams/{team['id']}")
    taken = await call("POST", "/teams/check-slug", {"slug": "plant-2"})
    assert (taken.status, taken.code) == (409, "invalid_slug")
    assert (await call.ok("GET", "/teams/slug/plant-2"))["id"] == team["id"]
    assert (await call.ok("GET", f"/teams/{team['id']}/user"))["role"] == 50

    application = await script.made("Application", "POST", "/applications", {"name": "Line", "teamId": team["id"]})
    renamed = await call.ok("PUT", f"/applications/{application['id']}", {"name": "Line 1", "description": "d"})
    assert (renamed["name"], renamed["description"]) == ("Line 1", "d")
    assert (await call.ok("DELETE", f"/applications/{application['id']}")) == {"status": "okay"}
    gone = await call("GET", f"/applications/{application['id']}")
    assert (gone.status, gone.code) == (404, "not_found")
    assert (await call.ok("DELETE", f"/teams/{team['id']}")) == {"status": "okay"}
    assert (await call.ok("DELETE", f"/users/{user['id']}")) == {"status": "okay"}


async def test_an_instance_from_its_creation_to_its_end(script: Script) -> None:
    call = script.call
    assert (await call.ok("POST", "/projects/check-name", {"name": "boiler-1"})) == {"available": True}
    instance = await script.instance("Boiler-1")
    path = f"/projects/{instance['id']}"
    assert UUID.fullmatch(instance["id"]) and instance["safeName"] == "boiler-1"
    assert {"id", "name"} <= set(instance["projectType"]) and {"id", "name", "links"} <= set(instance["template"])
    assert {"state", "versions", "isDeploying"} <= set(instance["meta"])
    taken = await call("POST", "/projects/check-name", {"name": "BOILER-1"})
    assert (taken.status, taken.code) == (409, "invalid_project_name")

    env = [{"name": "PLANT", "value": "north"}, {"name": "SECRET", "value": "s3cret", "hidden": True}]
    changed = await call.ok("PUT", path, {"settings": {"env": env, "header": {"title": "Boiler"}}})
    shown = {item["name"]: item for item in changed["settings"]["env"]}
    assert shown["PLANT"]["value"] == "north"
    assert shown["SECRET"]["hidden"] is True and shown["SECRET"]["value"] == ""
    assert changed["settings"]["header"]["title"] == "Boiler"
    changed = await call.ok("PUT", path, {"launcherSettings": {"healthCheckInterval": 8000}})
    assert changed["launcherSettings"]["healthCheckInterval"] == 8000
    wrong = await call("PUT", path, {"launcherSettings": {"healthCheckInterval": 10}})
    assert wrong.status == 400

    for action in ("stop", "start", "restart", "suspend"):
        assert (await call.ok("POST", f"{path}/actions/{action}")) == {"status": "okay"}
    assert (await call.ok("GET", f"{path}/status"))["meta"]["state"] == "suspended"
    for method, what in (("POST", "/actions/stop"), ("POST", "/actions/restart"), ("GET", "/logs")):
        answer = await call(method, path + what)
        assert (answer.status, answer.code) == (400, "project_suspended"), what
    team = instance["team"]["id"]
    listed = await script.listed(f"/teams/{team}/projects", "projects")
    assert [each["id"] for each in listed] == [instance["id"]]
    counts = await call.ok("GET", f"/teams/{team}/instance-counts?state=suspended")
    assert counts == {"suspended": 1}
    busy = await call("DELETE", f"/applications/{instance['application']['id']}")
    assert (busy.status, busy.code) == (422, "invalid_application")
    assert (await call.ok("DELETE", path)) == {"status": "okay"}
    left = await call("GET", path)
    assert left.status == 404 or left.json["desired"] == "deleting", "it goes when its processes are gone"


async def test_snapshots_travel_and_come_back(script: Script) -> None:
    call = script.call
    first, second = await script.instance("first"), await script.instance("second")
    path = f"/projects/{first['id']}"
    await call.ok("PUT", path, {"settings": {"env": [{"name": "WHERE", "value": "north"}]}})
    body = {"name": "v1", "description": "as delivered", "flows": {"flows": NODES}, "setAsTarget": False}
    snapshot = await script.made("Snapshot", "POST", f"{path}/snapshots", body)
    assert (snapshot["name"], snapshot["ownerType"], snapshot["projectId"]) == ("v1", "instance", first["id"])
    assert snapshot["user"]["username"] == "robot"
    assert [each["id"] for each in await script.listed(f"{path}/snapshots", "snapshots")] == [snapshot["id"]]
    full = await script.made("FullSnapshot", "GET", f"/snapshots/{snapshot['id']}/full", None)
    assert full["flows"]["flows"] == NODES and full["settings"]["env"]["WHERE"] == "north"

    refused = await call("POST", f"{path}/snapshots/{snapshot['id']}/export", {})
    assert (refused.status, refused.code) == (400, "bad_request")
    wanted = {"credentialSecret": "one two three"}
    file = await script.made("ExportedSnapshot", "POST", f"{path}/snapshots/{snapshot['id']}/export", wanted)
    assert file["flows"]["flows"] == NODES and "credentialSecret" not in file
    file = json.loads(json.dumps(file))
    send = {"ownerId": second["id"], "ownerType": "instance", "snapshot": file, "credentialSecret": "one two three"}
    taken = await script.made("Snapshot", "POST", "/snapshots/import", send)
    assert taken["projectId"] == second["id"]

    back = await call.ok("POST", f"/projects/{second['id']}/actions/rollback", {"snapshot": taken["id"]})
    assert back == {"status": "okay"}
    env = {
        item["name"]: item["value"] for item in (await call.ok("GET", f"/projects/{second['id']}"))["settings"]["env"]
    }
    assert env["WHERE"] == "north"
    foreign = await call("POST", f"{path}/actions/rollback", {"snapshot": taken["id"]})
    assert (foreign.status, foreign.code) == (400, "invalid_snapshot")
    assert (await call.ok("PUT", f"/snapshots/{snapshot['id']}", {"name": "v1.0"}))["name"] == "v1.0"
    assert (await call.ok("DELETE", f"/snapshots/{snapshot['id']}")) == {"status": "okay"}
    assert (await call("GET", f"/snapshots/{snapshot['id']}")).status == 404


async def test_the_audit_log_and_its_sheet(script: Script) -> None:
    instance = await script.instance("audited")
    await script.call.ok("POST", f"/projects/{instance['id']}/actions/suspend")
    page = await script.call.ok("GET", f"/projects/{instance['id']}/audit-log?limit=1")
    (entry,) = page["log"]
    assert {"id", "createdAt", "event", "scope", "trigger", "body", "username"} <= set(entry)
    assert (entry["event"], entry["username"], entry["source"]) == ("project.suspended", "robot", "api")
    assert entry["scope"] == {"id": instance["id"], "type": "project"} and entry["trigger"]["type"] == "user"
    assert {"applications", "instances", "devices"} <= set(page["associations"])
    assert [each["name"] for each in page["associations"]["instances"]] == ["audited"]
    older = await script.call.ok("GET", f"/projects/{instance['id']}/audit-log?cursor={page['meta']['next_cursor']}")
    assert entry["id"] not in [each["id"] for each in older["log"]]
    only = await script.call.ok("GET", f"/projects/{instance['id']}/audit-log?event=project.created&username=robot")
    assert {each["event"] for each in only["log"]} == {"project.created"}
    for where in (f"/projects/{instance['id']}", f"/teams/{instance['team']['id']}", "/admin"):
        sheet = await script.call("GET", f"{where}/audit-log/export")
        assert (sheet.status, sheet.headers["Content-Type"].split(";")[0]) == (200, "text/csv")
        rows = list(csv.DictReader(io.StringIO(sheet.text)))
        assert list(rows[0]) == ["id", "event", "body", "scope", "trigger", "createdAt"]
        assert json.loads(rows[0]["scope"])["type"] and MOMENT.fullmatch(rows[0]["createdAt"])


async def test_tokens_narrow_and_expire(script: Script) -> None:
    people, call = script.people, script.call
    refused = await call("POST", "/user/tokens", {"name": "more", "scope": ""})
    assert (refused.status, refused.code) == (403, "pat_cannot_create_pat")
    ends = int(datetime(2027, 1, 1, tzinfo=UTC).timestamp() * 1000)
    body = {"name": "ci", "scope": "", "expiresAt": ends, "readOnly": True, "teamIds": [people.team]}
    made = await people.root.ok("POST", "/user/tokens", body)
    assert set(ENTITIES["PersonalAccessToken"].split()) <= set(made)
    assert made["token"].startswith("ffpat_") and made["teams"][0]["id"] == people.team
    assert made["expiresAt"] == "2027-01-01T00:00:00.000Z"
    narrow = Caller(people.box, made["token"], "tcp")
    assert (await narrow("GET", f"/teams/{people.team}")).status == 200
    assert (await narrow("PUT", f"/teams/{people.team}", {"name": "x"})).status == 403
    listed = (await people.root.ok("GET", "/user/tokens"))["tokens"]
    assert "token" not in next(each for each in listed if each["id"] == made["id"])
    assert (await people.root("DELETE", f"/user/tokens/{made['id']}")).status == 204
    answer = await narrow("GET", "/user")
    assert (answer.status, answer.code) == (401, "unauthorized")


async def test_invitations_and_notifications(script: Script) -> None:
    people, call = script.people, script.call
    guest = await people.add("guest")
    path = f"/teams/{people.team}/invitations"
    assert (await call.ok("POST", path, {"user": "guest", "role": 30}))["status"] == "okay"
    (sent,) = await script.listed(path, "invitations")
    assert set(ENTITIES["Invitation"].split()) <= set(sent)
    assert (sent["role"], sent["invitee"]["username"], sent["invitor"]["username"]) == (30, "guest", "robot")
    failed = await call("POST", path, {"user": "nobody-here", "role": 30})
    assert failed.status in (200, 400) and failed.code == "invitation_failed" and "nobody-here" in failed.json["error"]
    (told,) = (await guest.ok("GET", "/user/notifications"))["notifications"]
    assert (told["type"], told["read"]) == ("team-invite", False)
    marked = await guest.ok("PUT", "/user/notifications", {"ids": [told["id"]], "read": True})
    assert marked["notifications"][0]["read"] is True
    assert (await guest.ok("PUT", f"/user/notifications/{told['id']}", {"read": False})) == {"status": "okay"}
    (mine,) = (await guest.ok("GET", "/user/invitations"))["invitations"]
    assert (await guest.ok("PATCH", f"/user/invitations/{mine['id']}")) == {"status": "okay"}
    members = await script.listed(f"/teams/{people.team}/members", "members")
    assert next(each["role"] for each in members if each["username"] == "guest") == 30
    answer = await call("PUT", f"/teams/{people.team}/members/{guest.id}", {"role": 10})
    assert answer.json == {"status": "okay"}
    assert (await call.ok("DELETE", f"/teams/{people.team}/members/{guest.id}")) == {"status": "okay"}
    assert (await guest("GET", f"/teams/{people.team}")).status == 404
    types = {each["type"] for each in (await call.ok("GET", "/user/notifications"))["notifications"]}
    assert "team-invite-accepted-invitor" in types


async def test_pages_and_refusals(script: Script) -> None:
    for number in range(5):
        await script.people.add(f"user{number}")
    seen: list[str] = []
    cursor = ""
    while True:
        page = await script.call.ok("GET", f"/users?limit=2{cursor}")
        seen += [user["username"] for user in page["users"]]
        if "next_cursor" not in page["meta"]:
            break
        assert page["meta"]["next_cursor"] == page["users"][-1]["id"]
        cursor = f"&cursor={page['meta']['next_cursor']}"
    assert sorted(seen) == sorted(set(seen)) and {f"user{number}" for number in range(5)} <= set(seen)
    found = await script.call.ok("GET", "/users?query=USER3")
    assert [user["username"] for user in found["users"]] == ["user3"]
    for answer, status, code in (
        (await script.people.nobody("GET", "/user"), 401, "unauthorized"),
        (await script.call("GET", "/teams/nowhere123"), 404, "not_found"),
        (await script.call("GET", "/no/such/route"), 404, "not_found"),
        (await script.call("POST", "/projects", {}), 400, "invalid_request"),
    ):
        assert (answer.status, answer.code) == (status, code) and answer.json["error"]
    sam = await script.people.add("sam", Role.MEMBER)
    answer = await sam("DELETE", f"/teams/{script.people.team}")
    assert (answer.status, answer.code) == (403, "unauthorized")
