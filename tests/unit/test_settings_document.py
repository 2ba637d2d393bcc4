"""The document that launchers run instances with: merge, policy, environment, what never leaves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import bindparam, update

from appliance.errors import NotFound
from appliance.services import settings
from appliance.services.settings import DEFAULT_POLICY, DEFAULT_SETTINGS, merge, public
from appliance.store import instances
from appliance.store.engine import Tx
from appliance.store.tables import stacks, teams, templates
from appliance.store.values import to_json
from tests.service_rig import Rig, service_rig


@pytest.fixture
async def rig(home: Path) -> AsyncIterator[Rig]:
    async with service_rig(home) as rig:
        yield rig


async def _document(
    rig: Rig,
    own: dict[str, Any] | None = None,
    template: dict[str, Any] | None = None,
    policy: dict[str, Any] | None = None,
    kind: str = "launcher",
) -> dict[str, Any]:
    made = await rig.create()
    if template is not None or policy is not None:
        statement = update(templates).values(settings=bindparam("one"), policy=bindparam("two"))
        values = {"one": to_json(template or {}), "two": to_json(policy or {})}
        await rig.context.store.write(lambda tx: tx.run(statement, **values))
    if own is not None:
        await rig.context.store.write(lambda tx: instances.set_settings(tx, made.id, own, at=1))
    return await rig.instances.settings_document(made.id, kind)


async def test_the_whole_document_of_a_new_instance(rig: Rig) -> None:
    document = await _document(rig)
    instance_id = document["projectID"]
    own = document.pop("settings")
    assert document == {
        "projectID": instance_id,
        "rootDir": str(rig.context.home.instances),
        "userDir": instance_id,
        "port": 12080,
        "env": {
            "FF_INSTANCE_ID": instance_id,
            "FF_INSTANCE_NAME": "line-1",
            "FF_PROJECT_ID": instance_id,
            "FF_PROJECT_NAME": "line-1",
            "FF_INSTANCE_URL": "https://box.test:10000",
        },
        "baseURL": "https://box.test:10000",
        "forgeURL": "https://box.test:8443",
        "fileStore": None,
        "assistant": {
            "enabled": False,
            "requestTimeout": 60000,
            "mcp": {"enabled": False},
            "completions": {"enabled": False, "inlineEnabled": False},
        },
        "mqttNodes": {"username": f"instance:{instance_id}", "linked": False},
        "teamID": rig.made.team_id,
        "storageURL": "http://127.0.0.1:3000/storage",
        "auditURL": "http://127.0.0.1:3000/logging",
        "state": "running",
        "stack": {"nodered": "5.0.7", "node": "24", "memory": "256"},
        "features": {
            "shared-library": True,
            "projectComms": False,
            "teamBroker": False,
            "tables": False,
            "teamNPM": False,
        },
        "weir": {
            "name": "line-1",
            "platformPort": 443,
            "publicPort": 10000,
            "path": "",
            "desired": "running",
            "commandGeneration": 0,
            "stack": "node-red-5",
            "memoryMb": 256,
            "extraCa": None,
            "crashPolicy": "safe",
            "hotSpare": False,
            "installTimeout": 900,
        },
    }
    assert own["header"] == {"title": "line-1"}
    assert own["palette"]["modules"] == {}
    assert own["httpNodeAuth"] == {"type": "", "user": "", "pass": ""}
    assert not {"env", "localAuth", "emailAlerts"} & own.keys()


async def test_a_foreign_launcher_gets_no_more_than_the_reference_has(rig: Rig) -> None:
    assert "weir" not in await _document(rig, kind="node_red")


async def test_wishes_and_the_authority_of_the_box_are_in_it(rig: Rig) -> None:
    authority = rig.context.home.tls / "ca.crt"
    _touch(authority)
    made = await rig.create()
    await rig.instances.stop(rig.admin, made.id)
    document = await rig.instances.settings_document(made.id, "launcher")
    assert document["state"] == document["weir"]["desired"] == "stopped"
    assert document["weir"]["commandGeneration"] == 1
    assert document["weir"]["extraCa"] == str(authority)
    await rig.instances.delete(rig.admin, made.id)
    for instance_id in (made.id, "nobody"):
        with pytest.raises(NotFound):
            await rig.instances.settings_document(instance_id, "launcher")


def _touch(file: Path) -> None:
    file.parent.mkdir(parents=True)
    file.write_text("x")


def test_merging() -> None:
    template = {"theme": "t", "page": {"title": "T"}, "palette": {"allowInstall": False}}
    own = {"theme": "o", "page": {"title": "O", "favicon": "f"}, "palette": {"allowInstall": True, "npmrc": None}}
    merged = merge(template, {"theme": False, "palette": {"allowInstall": False}}, own)
    assert merged["theme"] == "t", "locked"
    assert merged["palette"]["allowInstall"] is False, "locked, deeper"
    assert merged["page"] == {"title": "O", "favicon": "f"}
    assert merged["palette"]["npmrc"] == "", "None gives way"
    assert merged["codeEditor"] == "monaco", "the default"
    assert merge({}, {"page": False}, own)["page"] == DEFAULT_SETTINGS["page"], "a whole branch locked"


def test_the_six_methods_of_cors_are_one_value() -> None:
    assert merge({}, {}, {"httpNodeCORS": {"enabled": True}})["httpNodeCORS"] == {"enabled": True}
    assert merge({}, {"httpNodeCORS": False}, {"httpNodeCORS": {"enabled": True}})["httpNodeCORS"]["enabled"] is False


def test_merging_changes_nothing_of_what_it_was_given() -> None:
    before = to_json([DEFAULT_SETTINGS, DEFAULT_POLICY])
    merge({"palette": {"npmrc": "x"}}, DEFAULT_POLICY, {"palette": {"npmrc": "y"}})["palette"]["more"] = 1
    assert to_json([DEFAULT_SETTINGS, DEFAULT_POLICY]) == before


@pytest.mark.parametrize(
    ("given", "root"),
    [("", ""), ("/", ""), ("red", "/red"), ("//red//admin/", "/red/admin"), ("/x'};evil", ""), (5, ""), ("/a b", "")],
)
async def test_the_path_of_the_editor(rig: Rig, given: object, root: str) -> None:
    document = await _document(rig, {"httpAdminRoot": given})
    assert document["settings"]["httpAdminRoot"] == root
    assert document["baseURL"] == f"https://box.test:10000{root}"
    assert document["env"]["FF_INSTANCE_URL"] == document["baseURL"]
    assert (await rig.instances.get(document["projectID"])).url == document["baseURL"]


async def test_the_environment(rig: Rig) -> None:
    template = [
        {"name": "SHARED", "value": "template"},
        {"name": "LOCKED", "value": "template", "policy": False},
        {"name": "SECRET", "value": "template", "hidden": True},
        {"name": "FF_INSTANCE_ID", "value": "forged"},
    ]
    own = [
        {"name": "SHARED", "value": "own"},
        {"name": "LOCKED", "value": "own"},
        {"name": "SECRET", "value": "", "hidden": True},
        {"name": "HIDDEN", "value": "clear", "hidden": True},
        {"name": "FF_PROJECT_NAME", "value": "forged"},
        {"name": "1BAD", "value": "x"},
        {"name": "BAD=X", "value": "x"},
        {"name": "EMPTY", "value": ""},
        "nonsense",
    ]
    env = (await _document(rig, {"env": own}, {"env": template}))["env"]
    assert {key: value for key, value in env.items() if not key.startswith("FF_")} == {
        "SHARED": "own",
        "LOCKED": "template",
        "SECRET": "template",
        "HIDDEN": "clear",
        "EMPTY": "",
    }
    assert env["FF_PROJECT_NAME"] == "line-1"
    assert env["FF_INSTANCE_ID"] != "forged"


async def test_what_would_break_or_leak_is_left_out(rig: Rig) -> None:
    own = {
        "header": {"title": "it's", "url": "https://x"},
        "httpNodeAuth": {"type": "flowforge-user", "user": "u", "pass": "$2b$hash"},
        "palette": {"npmrc": "//registry/:_authToken=secret"},
    }
    document = await _document(rig, own, {})
    assert document["settings"]["header"] == {"title": "it's"}
    assert document["settings"]["httpNodeAuth"] == {"type": "flowforge-user", "user": "", "pass": ""}
    assert "npmrc" not in document["settings"]["palette"]


async def test_basic_authentication_and_the_npm_file_of_a_team_that_may(rig: Rig) -> None:
    allow = update(teams).values(properties='{"features":{"customCatalogs":true}}')
    await rig.context.store.write(lambda tx: tx.run(allow))
    own = {"httpNodeAuth": {"type": "basic", "user": "u", "pass": "$2b$hash"}, "palette": {"npmrc": "a=b"}}
    document = await _document(rig, own)
    assert document["settings"]["httpNodeAuth"] == own["httpNodeAuth"]
    assert document["settings"]["palette"]["npmrc"] == "a=b"


async def test_modules_of_the_template_are_copied_once(rig: Rig) -> None:
    modules = [{"name": "dashboard", "version": ">=1.0.0"}, {"name": "../evil", "version": "1"}, {"nonsense": 1}]

    def work(tx: Tx) -> None:
        tx.run(update(templates).values(settings=bindparam("one")), one=to_json({"palette": {"modules": modules}}))

    await rig.context.store.write(work)
    document = await _document(rig)
    assert document["settings"]["palette"]["modules"] == {"dashboard": ">=1.0.0"}
    await rig.context.store.write(lambda tx: tx.run(update(templates).values(settings="{}")))
    document = await rig.instances.settings_document(document["projectID"], "launcher")
    assert document["settings"]["palette"]["modules"] == {"dashboard": ">=1.0.0"}


async def test_locked_modules_are_the_templates(rig: Rig) -> None:
    template = {"palette": {"modules": [{"name": "allowed", "version": "1.0.0"}]}}
    own = {"palette": {"modules": [{"name": "sneaked", "version": "1.0.0"}]}}
    document = await _document(rig, own, template, {"palette": {"modules": False}})
    assert document["settings"]["palette"]["modules"] == {"allowed": "1.0.0"}


@pytest.mark.parametrize(
    ("memory", "expected"), [("256", 256), (512, 512), ("", None), ("0", None), ("-5", None), ("1e9", None)]
)
async def test_the_memory_of_a_stack(rig: Rig, memory: object, expected: int | None) -> None:
    change = update(stacks).values(properties=to_json({"memory": memory}))
    await rig.context.store.write(lambda tx: tx.run(change))
    document = await _document(rig)
    assert document["weir"]["memoryMb"] == expected
    assert (await rig.spec(document["projectID"])).memory_mb == expected


def test_people_see_no_secrets() -> None:
    own = {
        "env": [{"name": "A", "value": "a"}, {"name": "B", "value": "b", "hidden": True}],
        "httpNodeAuth": {"type": "basic", "user": "u", "pass": "x"},
        "localAuth": {"pass": ""},
    }
    shown = public(own)
    assert shown["env"] == [{"name": "A", "value": "a"}, {"name": "B", "value": "", "hidden": True}]
    assert shown["httpNodeAuth"]["pass"] is True
    assert shown["localAuth"]["pass"] is False
    assert own["httpNodeAuth"] == {"type": "basic", "user": "u", "pass": "x"}


async def test_the_api_shows_no_secrets(rig: Rig) -> None:
    own = {"env": [{"name": "B", "value": "hunter2", "hidden": True}], "httpNodeAuth": {"type": "basic", "pass": "pw9"}}
    document = await _document(rig, own, {"env": [{"name": "C", "value": "hunter3", "hidden": True}]})
    shown = to_json(await rig.instances.get(document["projectID"]))
    assert "hunter" not in shown
    assert "pw9" not in shown


def test_the_locks_of_a_new_template_are_those_of_the_reference() -> None:
    own = {
        "page": {"title": "x", "favicon": "x"},
        "header": {"title": "x", "url": "x"},
        "palette": {"nodesExcludes": "x", "denyList": "x", "allowInstall": False},
        "modules": {"denyList": "x", "allowInstall": False},
    }
    merged = merge({}, DEFAULT_POLICY, own)
    assert merged["page"] == DEFAULT_SETTINGS["page"]
    assert merged["header"] == {"title": "x", "url": ""}
    assert (merged["palette"]["denyList"], merged["palette"]["allowInstall"]) == ("", False)
    assert (merged["modules"]["denyList"], merged["modules"]["allowInstall"]) == ("", False)
    assert settings.memory_mb({}) is None
