"""Stacks, templates, instance types and applications over the API: made, changed, guarded, recorded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from appliance.model import Desired, Role
from tests.people_box import Answer, People, people_box

SECRET = "s3cret-of-the-plant"


@pytest.fixture
async def people(home: Path) -> AsyncIterator[People]:
    async with people_box(home) as made:
        yield made


def refused(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.code) == (status, code), answer.text


async def first(people: People, what: str) -> dict[str, Any]:
    key = "types" if what == "project-types" else what
    found: dict[str, Any] = (await people.root.ok("GET", f"/{what}"))[key][0]
    return found


async def test_a_stack_from_its_making_to_its_end(people: People) -> None:
    kind = await first(people, "project-types")
    body = {"name": "small", "label": "Small", "projectType": kind["id"], "properties": {"nodered": "5", "memory": 128}}
    made = await people.root.ok("POST", "/stacks", body)
    assert made["properties"] == {"nodered": "5.0.7", "memory": "128", "build": "node-red-5"}
    assert made["projectType"] == kind["id"] and made["built"] and made["instanceCount"] == 0
    changed = await people.root.ok("PUT", f"/stacks/{made['id']}", {"name": "tiny", "label": "Tiny", "active": False})
    assert (changed["name"], changed["label"], changed["active"]) == ("tiny", "Tiny", False)
    assert changed["properties"]["build"] == "node-red-5"
    assert "tiny" not in (await people.root("GET", "/stacks")).text
    for shown in ("inactive", "all"):
        assert "tiny" in (await people.root("GET", f"/stacks?filter={shown}")).text
    refused(await people.root("GET", "/stacks?filter=odd"), 400, "invalid_request")
    await people.root.ok("DELETE", f"/stacks/{made['id']}")
    refused(await people.root("DELETE", f"/stacks/{made['id']}"), 404, "not_found")
    assert (await people.events("platform"))[:3] == [f"platform.stack.{w}" for w in ("deleted", "updated", "created")]


async def test_a_stack_that_is_used_keeps_what_instances_rely_on(people: People) -> None:
    stack = await first(people, "stacks")
    await people.box.instance("line-1")
    for body in ({"name": "other"}, {"properties": {"nodered": "4.1"}}, {"projectType": None}):
        refused(await people.root("PUT", f"/stacks/{stack['id']}", body), 400, "invalid_request")
    same = {"name": stack["name"], "projectType": stack["projectType"], "label": "New", "active": False}
    assert (await people.root.ok("PUT", f"/stacks/{stack['id']}", same))["label"] == "New"
    refused(await people.root("DELETE", f"/stacks/{stack['id']}"), 400, "unexpected_error")


async def test_a_stack_is_replaced_once_by_one_of_its_type(people: People) -> None:
    old = await first(people, "stacks")
    body = {"name": "newer", "projectType": old["projectType"], "properties": {"nodered": "4.1"}, "replace": old["id"]}
    made = await people.root.ok("POST", "/stacks", body)
    assert made["properties"] == {"nodered": "4.1.15", "build": "node-red-4"}
    forged = {"properties": {"nodered": "4.1", "build": "node-red-5"}}
    assert (await people.root.ok("PUT", f"/stacks/{made['id']}", forged))["properties"] == made["properties"]
    assert (await people.root.ok("GET", f"/stacks/{old['id']}"))["replacedBy"] == made["id"]
    refused(await people.root("POST", "/stacks", body | {"name": "newest"}), 400, "invalid_stack")
    other = {"name": "typeless", "properties": {"nodered": "4"}, "replaces": made["id"]}
    refused(await people.root("POST", "/stacks", other), 400, "invalid_stack")
    await people.root.ok("DELETE", f"/stacks/{made['id']}")
    assert (await people.root.ok("GET", f"/stacks/{old['id']}"))["replacedBy"] is None


@pytest.mark.parametrize(
    "body",
    [
        {"name": ""},
        {"name": "node-red-5", "properties": {"nodered": "5"}},
        {"name": "x", "properties": {"nodered": "3.1"}},
        {"name": "x", "properties": {"nodered": "5", "memory": "-1"}},
        {"name": "x", "properties": {"nodered": "5", "memory": True}},
        {"name": "x", "properties": {"nodered": "5", "build": "../../x"}},
        {"name": "x", "properties": {"nodered": "5", "odd": "1"}},
        {"name": "x", "properties": {"nodered": ["5"]}},
        {"name": "x"},
        {"name": "x", "properties": {"nodered": "5"}, "projectType": "nowhere"},
        {"name": "x\x00", "properties": {"nodered": "5"}},
    ],
)
async def test_stacks_that_cannot_be(people: People, body: dict[str, Any]) -> None:
    before = (await people.root.ok("GET", "/stacks?filter=all"))["count"]
    assert (await people.root("POST", "/stacks", body)).status == 400
    assert (await people.root.ok("GET", "/stacks?filter=all"))["count"] == before


async def test_what_was_built_is_registered_once(people: People) -> None:
    life = people.box.services.catalogue.stacks
    for _ in range(2):
        await life.register(people.box.root, "node-red-4")
    await life.register(people.box.root, "of-another-weir")
    names = [each["name"] for each in (await people.root.ok("GET", "/stacks"))["stacks"]]
    assert names == ["node-red-5", "node-red-4"]


async def test_a_template_with_settings_policy_and_hidden_variables(people: People) -> None:
    env = [{"name": "KEY", "value": SECRET, "hidden": True, "policy": False}, {"name": "A", "value": "1"}]
    body = {
        "name": "strict",
        "settings": {"env": env, "theme": "t", "httpNodeAuth": {"type": "basic", "user": "u", "pass": SECRET}, "x": 1},
        "policy": {"theme": False, "odd": True, "page": {"title": False}},
    }
    made = await people.root("POST", "/templates", body)
    assert made.status == 200 and SECRET not in made.text
    assert made.json["policy"] == {"theme": False, "page": {"title": False}}
    assert made.json["settings"]["env"][0] == {"name": "KEY", "value": "", "hidden": True, "policy": False}
    assert made.json["settings"]["httpNodeAuth"]["pass"] is True and "x" not in made.json["settings"]
    path = f"/templates/{made.json['id']}"
    shown = await people.root.ok("GET", path)
    changed = await people.root.ok("PUT", path, {**shown, "name": "stricter"})  # as a page sends it back
    assert (changed["name"], changed["settings"]) == ("stricter", shown["settings"])
    instance = await people.box.instance("line-1", template="stricter")
    document = await people.box.services.instances.settings_document(instance.id, "launcher")
    assert (document["env"]["KEY"], document["env"]["A"]) == (SECRET, "1")
    assert document["settings"]["httpNodeAuth"]["pass"].startswith("$2b$") and document["settings"]["theme"] == "t"
    refused(await people.root("DELETE", path), 400, "unexpected_error")
    everything = await people.root("GET", "/admin/audit-log")
    assert "platform.template.created" in everything.text and SECRET not in everything.text
    for wrong in ({"settings": {"theme": 1}}, {"policy": {"theme": "x"}}, {"settings": {"env": [{"name": "1"}]}}):
        refused(await people.root("PUT", path, wrong), 400, "settings_validation")
    refused(await people.root("POST", "/templates", body | {"name": "stricter"}), 400, "invalid_request")


async def test_an_instance_type_from_its_making_to_its_end(people: People) -> None:
    stack = await first(people, "stacks")
    made = await people.root.ok("POST", "/project-types", {"name": "Big", "order": 3, "properties": {"a": 1}})
    assert (made["name"], made["order"], made["properties"], made["active"]) == ("Big", 3, {"a": 1}, True)
    path = f"/project-types/{made['id']}"
    refused(await people.root("PUT", path, {"defaultStack": stack["id"]}), 400, "invalid_request")  # of another type
    own = {"name": "own", "projectType": made["id"], "properties": {"nodered": "5"}}
    await people.root.ok("POST", "/stacks", own)
    changed = await people.root.ok("PUT", path, {"name": "Bigger", "defaultStack": "own", "description": "d"})
    assert changed["name"] == "Bigger" and changed["stackCount"] == 1 and changed["defaultStack"]
    instance = await people.box.instance("line-1", project_type="Bigger")
    assert (instance.stack.name, instance.project_type.name) == ("own", "Bigger")
    refused(await people.root("DELETE", path), 400, "unexpected_error")
    refused(await people.root("POST", "/project-types", {"name": "Bigger"}), 400, "invalid_request")
    await people.box.services.instances.delete(people.box.root, instance.id)
    await people.box.services.instances.removed(instance.id)
    await people.root.ok("DELETE", path)
    assert (await people.root("GET", path)).status == 404


async def test_an_application_is_changed_and_removed(people: People) -> None:
    owner, member = await people.add("olga", Role.OWNER), await people.add("mia", Role.MEMBER)
    made = await owner.ok("POST", "/applications", {"name": "Line", "teamId": people.team})
    path = f"/applications/{made['id']}"
    changed = await owner.ok("PUT", path, {"name": " Line two ", "description": "d"})
    assert (changed["name"], changed["description"]) == ("Line two", "d")
    refused(await owner("PUT", path, {"name": " "}), 400, "invalid_application_name")
    refused(await member("PUT", path, {"name": "x"}), 403, "unauthorized")
    instance = await people.box.services.instances.create(people.box.root, _create("line-1", made["id"]))
    refused(await owner("DELETE", path), 422, "invalid_application")
    states = await owner.ok("GET", f"{path}/instances/status")
    assert states["instances"][0]["id"] == instance.id and states["instances"][0]["meta"]["state"]
    team = await owner.ok("GET", f"/teams/{people.team}/applications/status")
    assert [len(each["instances"]) for each in team["applications"]] == [0, 1]
    await people.box.services.instances.delete(people.box.root, instance.id)
    await people.box.services.instances.removed(instance.id)
    await owner.ok("DELETE", path)
    refused(await owner("GET", path), 404, "not_found")
    assert "application.deleted" in await people.of_team()


async def test_dashboards_are_shown_to_those_who_may_use_them(people: People) -> None:
    viewer = await people.add("dora", Role.DASHBOARD)
    made = await people.box.instance("line-1")
    await people.box.instance("line-2")
    modules = [{"name": "@flowfuse/node-red-dashboard", "version": "~1.0.0"}]
    await people.root.ok("PUT", f"/projects/{made.id}", {"settings": {"palette": {"modules": modules}}})
    found = await viewer.ok("GET", f"/teams/{people.team}/dashboard-instances")
    assert [each["name"] for each in found["projects"]] == ["line-1"]
    assert (await viewer("GET", f"/projects/{made.id}")).status == 403


async def test_the_stack_of_an_instance_is_changed(people: People) -> None:
    made = await people.box.instance("line-1")
    body = {"name": "v4", "projectType": made.project_type.id, "properties": {"nodered": "4.1", "memory": "64"}}
    await people.root.ok("POST", "/stacks", body)
    before = await people.box.services.instances.spec(made.id)
    changed = await people.root.ok("PUT", f"/projects/{made.id}", {"stack": "v4"})
    after = await people.box.services.instances.spec(made.id)
    assert changed["stack"]["name"] == "v4" and "placed anew" in changed["note"]
    assert before and after and after.generation == before.generation + 1
    assert (after.stack_name, after.memory_mb, after.desired) == ("node-red-4", 64, Desired.RUNNING)
    assert made.id in people.box.pokes
    assert "project.stack.changed" in await people.events("project", made.id)
    await people.root.ok("PUT", f"/projects/{made.id}", {"stack": "v4"})  # has it already
    again = await people.box.services.instances.spec(made.id)
    assert again and again.generation == after.generation
    await people.root.ok("POST", f"/projects/{made.id}/actions/restartStack")
    anew = await people.box.services.instances.spec(made.id)
    assert anew and anew.generation == after.generation + 1


async def test_a_stack_or_type_that_cannot_be_leaves_the_instance_as_it_is(people: People) -> None:
    made = await people.box.instance("line-1")
    kind = await people.root.ok("POST", "/project-types", {"name": "Big"})
    await people.root.ok("POST", "/stacks", {"name": "big", "projectType": kind["id"], "properties": {"nodered": "5"}})
    await people.root.ok("POST", "/stacks", {"name": "off", "active": False, "properties": {"nodered": "5"}})
    path = f"/projects/{made.id}"
    for body, code in (
        ({"stack": "nowhere"}, "invalid_stack"),
        ({"stack": "big"}, "invalid_stack"),
        ({"stack": "off"}, "invalid_stack"),
        ({"projectType": "nowhere"}, "invalid_project_type"),
        ({"projectType": "Big"}, "invalid_stack"),
    ):
        refused(await people.root("PUT", path, {"name": "other", **body}), 400, code)
    found = await people.root.ok("GET", path)
    assert (found["name"], found["stack"]["id"], found["projectType"]["id"]) == (
        "line-1",
        made.stack.id,
        made.project_type.id,
    )
    changed = await people.root.ok("PUT", path, {"projectType": "Big", "stack": "big"})
    assert (changed["projectType"]["name"], changed["stack"]["name"]) == ("Big", "big")


def _create(name: str, application: str) -> Any:
    from appliance.schema.instances import CreateInstance

    return CreateInstance(name=name, application_id=application)
