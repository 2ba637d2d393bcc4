"""Settings and variables of instances over the API: policy, rules, and hidden values that nobody reads again."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from sqlalchemy import bindparam, update

from appliance.errors import Internal, Invalid
from appliance.model import Role
from appliance.services import environment, setting_rules
from appliance.services.environment import Vault
from appliance.store.tables import templates
from appliance.store.values import to_json
from tests.people_box import People, people_box

SECRET = "s3cret-of-the-plant"


@pytest.fixture
async def people(home: Path) -> AsyncIterator[People]:
    async with people_box(home) as made:
        yield made


async def put(people: People, instance_id: str, **settings: Any) -> Any:
    return await people.root.ok("PUT", f"/projects/{instance_id}", {"settings": settings})


async def shown_env(people: People, instance_id: str) -> dict[str, dict[str, Any]]:
    found = await people.root.ok("GET", f"/projects/{instance_id}")
    return {each["name"]: each for each in found["settings"]["env"]}


async def delivered(people: People, instance_id: str) -> dict[str, str]:
    env = (await people.box.services.instances.settings_document(instance_id, "launcher"))["env"]
    return {name: value for name, value in env.items() if not name.startswith("FF_")}


async def template(people: People, settings: dict[str, Any], policy: dict[str, Any]) -> None:
    statement = update(templates).values(settings=bindparam("one"), policy=bindparam("two"))
    values = {"one": to_json(settings), "two": to_json(policy)}
    await people.box.context.store.write(lambda tx: tx.run(statement, **values))


async def test_a_hidden_value_reaches_node_red_and_nobody_else(people: People) -> None:
    made = await people.box.instance("line-1")
    owner, viewer = await people.add("olga", Role.OWNER), await people.add("vera", Role.VIEWER)
    answer = await owner(
        "PUT",
        f"/projects/{made.id}",
        {"settings": {"env": [{"name": "KEY", "value": SECRET, "hidden": True}, {"name": "A", "value": "1"}]}},
    )
    assert answer.status == 200 and SECRET not in answer.text
    assert await delivered(people, made.id) == {"KEY": SECRET, "A": "1"}
    assert (await shown_env(people, made.id))["KEY"] == {"name": "KEY", "value": "", "hidden": True}
    for path in (f"/projects/{made.id}", "/instances", "/instances/line-1", f"/projects/{made.id}/audit-log"):
        for who in (people.root, owner, viewer):
            assert SECRET not in (await who("GET", path)).text, path
    entry = (await people.root.ok("GET", f"/projects/{made.id}/audit-log"))["log"][0]
    assert entry["event"] == "project.settings.updated"
    assert {each["key"]: each["new"] for each in entry["body"]["updates"]} == {"env.KEY": "(hidden)", "env.A": "1"}


async def test_at_rest_a_hidden_value_is_sealed_for_its_instance(people: People) -> None:
    made, other = await people.box.instance("line-1"), await people.box.instance("line-2")
    await put(people, made.id, env=[{"name": "KEY", "value": SECRET, "hidden": True}])
    database = people.box.context.home.database
    for file in database.parent.glob(f"{database.name}*"):
        assert SECRET.encode() not in file.read_bytes()
    with closing(sqlite3.connect(database)) as connection, connection:
        stored = connection.execute("SELECT settings FROM instances WHERE id = ?", (made.id,)).fetchone()[0]
        connection.execute("UPDATE instances SET settings = ? WHERE id = ?", (stored, other.id))
    connection.close()
    assert (await delivered(people, made.id))["KEY"] == SECRET
    with pytest.raises(Internal, match="does not open"):
        await delivered(people, other.id)


async def test_an_empty_hidden_value_keeps_what_there_is(people: People) -> None:
    made = await people.box.instance("line-1")
    await put(people, made.id, env=[{"name": "KEY", "value": SECRET, "hidden": True}])
    listed = (await people.root.ok("GET", f"/projects/{made.id}"))["settings"]["env"]
    await put(people, made.id, env=listed)  # as a page sends it back
    assert (await delivered(people, made.id))["KEY"] == SECRET
    await put(people, made.id, env=[{"name": "KEY", "value": "new", "hidden": True}])
    assert (await delivered(people, made.id))["KEY"] == "new"
    await put(people, made.id, env=[{"name": "KEY", "value": ""}])  # no longer hidden: not shown, forgotten
    assert (await shown_env(people, made.id))["KEY"]["value"] == ""
    assert (await delivered(people, made.id))["KEY"] == ""
    await put(people, made.id, env=[{"name": "A", "value": "open"}])
    await put(people, made.id, env=[{"name": "A", "value": "", "hidden": True}, {"name": "NONE", "hidden": True}])
    assert await delivered(people, made.id) == {"A": "open"}
    assert (await shown_env(people, made.id))["A"]["value"] == ""


async def test_the_platforms_own_variables_are_listed_and_never_stored(people: People) -> None:
    made = await people.box.instance("line-1")
    await put(people, made.id, env=[{"name": "FF_INSTANCE_ID", "value": "forged"}, {"name": "FF_X", "value": "y"}])
    env = await shown_env(people, made.id)
    assert env["FF_INSTANCE_ID"] == {"name": "FF_INSTANCE_ID", "value": made.id, "platform": True}
    assert env["FF_PROJECT_NAME"]["deprecated"] is True and "FF_X" not in env
    document = await people.box.services.instances.settings_document(made.id, "launcher")
    assert document["env"]["FF_INSTANCE_ID"] == made.id and "FF_X" not in document["env"]


async def test_the_template_comes_first_and_may_lock(people: People) -> None:
    made = await people.box.instance("line-1")
    fixed = [
        {"name": "LOCKED", "value": "theirs", "policy": False},
        {"name": "OPEN", "value": "theirs"},
        {"name": "KEY", "value": "theirs", "hidden": True},
    ]
    await template(people, {"env": fixed, "theme": "forge-dark"}, {"theme": False, "page": {"title": False}})
    own = [{"name": name, "value": "mine"} for name in ("LOCKED", "OPEN")] + [{"name": "KEY", "hidden": True}]
    answer = await put(people, made.id, env=own, theme="x", page={"title": "x", "favicon": "f.ico"}, debugMaxLength=7)
    assert "The template keeps its own: theme, page.title." in answer["note"]
    assert await delivered(people, made.id) == {"LOCKED": "theirs", "OPEN": "mine", "KEY": "theirs"}
    document = await people.box.services.instances.settings_document(made.id, "launcher")
    assert (document["settings"]["theme"], document["settings"]["debugMaxLength"]) == ("forge-dark", 7)
    assert document["settings"]["page"]["favicon"] == "f.ico"


async def test_settings_are_laid_over_and_null_takes_back(people: People) -> None:
    made = await people.box.instance("line-1")
    await put(people, made.id, httpAdminRoot="a//b/", palette={"allowInstall": False}, unknown=1, header={"title": "T"})
    found = (await put(people, made.id, palette={"denyList": "x,y"}, codeEditor="ace"))["settings"]
    assert found["httpAdminRoot"] == "/a/b" and found["codeEditor"] == "ace" and "unknown" not in found
    assert found["palette"]["allowInstall"] is False and found["header"] == {"title": "T"}
    assert "denyList" not in found["palette"]  # locked by the default policy
    after = await put(people, made.id, httpAdminRoot=None, palette={"allowInstall": None})
    assert "httpAdminRoot" not in after["settings"] and "allowInstall" not in after["settings"]["palette"]
    assert after["url"].endswith(":10000")


async def test_passwords_are_hashed_and_not_shown(people: People) -> None:
    made = await people.box.instance("line-1")
    answer = await put(people, made.id, httpNodeAuth={"type": "basic", "user": "u", "pass": SECRET})
    assert answer["settings"]["httpNodeAuth"] == {"type": "basic", "user": "u", "pass": True}
    document = await people.box.services.instances.settings_document(made.id, "launcher")
    hashed = document["settings"]["httpNodeAuth"]["pass"]
    assert bcrypt.checkpw(SECRET.encode(), hashed.encode())
    await put(people, made.id, httpNodeAuth=answer["settings"]["httpNodeAuth"] | {"user": "w"})  # sent back as shown
    document = await people.box.services.instances.settings_document(made.id, "launcher")
    assert document["settings"]["httpNodeAuth"] == {"type": "basic", "user": "w", "pass": hashed}
    log = (await people.root("GET", f"/projects/{made.id}/audit-log")).text
    assert SECRET not in log and hashed not in log and '"(set)"' in log


async def test_members_change_the_variables_only(people: People) -> None:
    made = await people.box.instance("line-1")
    member, viewer = await people.add("mia", Role.MEMBER), await people.add("vera", Role.VIEWER)
    body = {"name": "mine", "settings": {"env": [{"name": "A", "value": "1"}], "theme": "x"}, "stack": "nowhere"}
    answer = await member.ok("PUT", f"/projects/{made.id}", body)
    assert answer["name"] == "line-1" and set(answer["settings"]) == {"env"}
    found = await people.root.ok("GET", f"/projects/{made.id}")
    assert "theme" not in found["settings"] and await delivered(people, made.id) == {"A": "1"}
    assert (await viewer("PUT", f"/projects/{made.id}", body)).status == 403
    reader = await people.again(member.user, read_only=True)
    assert (await reader("PUT", f"/projects/{made.id}", body)).status == 403


@pytest.mark.parametrize(
    "settings",
    [
        {"env": {"A": "1"}},
        {"env": ["A"]},
        {"env": [{"name": "1A", "value": ""}]},
        {"env": [{"name": "A-B", "value": ""}]},
        {"env": [{"value": ""}]},
        {"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]},
        {"env": [{"name": "A", "value": "x\0y"}]},
        {"env": [{"name": "A", "value": "x" * 40_000}]},
        {"env": [{"name": "A", "value": {"deep": 1}}]},
        {"env": [{"name": f"A{n}", "value": "x" * 30_000} for n in range(5)]},
        {"env": [{"name": f"A{n}", "value": ""} for n in range(501)]},
        {"disableEditor": "yes"},
        {"httpAdminRoot": "/a b"},
        {"dashboardUI": "/../x"},
        {"codeEditor": "vim"},
        {"timeZone": "Mars; rm"},
        {"apiMaxLength": "5gb"},
        {"debugMaxLength": 0},
        {"page": "title"},
        {"palette": {"modules": [{"name": "../x", "version": "1.0.0"}]}},
        {"palette": {"modules": [{"name": "x", "version": "file:/etc"}]}},
        {"palette": {"modules": [{"name": "x", "version": "1.0.0"}] * 2}},
        {"palette": {"modules": [{"name": "@flowfuse/nr-file-nodes", "version": "*"}]}},
        {"palette": {"catalogue": ["javascript:alert(1)"]}},
        {"httpNodeCORS": {"enabled": True, "origin": "*"}},
        {"httpNodeCORS": {**dict.fromkeys(("enabled", *setting_rules.METHODS), True), "origin": "https://a/b"}},
        {"httpNodeAuth": {"type": "open"}},
        {"httpNodeAuth": {"pass": "x" * 73}},
    ],
)
async def test_what_is_against_the_rules_changes_nothing(people: People, settings: dict[str, Any]) -> None:
    made = await people.box.instance("line-1")
    answer = await people.root("PUT", f"/projects/{made.id}", {"settings": {"theme": "x", **settings}, "name": "n"})
    assert (answer.status, answer.code) == (400, "settings_validation"), answer.text
    found = await people.root.ok("GET", f"/projects/{made.id}")
    assert found["name"] == "line-1" and "theme" not in found["settings"]


def test_every_default_is_allowed_by_the_rules() -> None:
    from appliance.services.settings import DEFAULT_POLICY, DEFAULT_SETTINGS

    found, locked = setting_rules.checked(DEFAULT_SETTINGS, {})
    assert found | {"env": []} == DEFAULT_SETTINGS | {"dashboardUI": "/ui"} and not locked
    assert setting_rules.checked_policy(DEFAULT_POLICY) == DEFAULT_POLICY
    with pytest.raises(Invalid, match=r"policy\.theme"):
        setting_rules.checked_policy({"theme": "no"})


async def test_opened_and_closed_are_inverse(people: People) -> None:
    vault = Vault(people.box.context.box, "x")
    kept = {"env": environment.checked([{"name": "K", "value": SECRET, "hidden": True}], None, vault), "theme": "t"}
    clear = environment.opened(kept, vault)
    assert clear["env"] == [{"name": "K", "hidden": True, "value": SECRET}]
    assert environment.opened(environment.closed(clear, vault), vault) == clear
    assert SECRET not in to_json(environment.closed(clear, vault))
