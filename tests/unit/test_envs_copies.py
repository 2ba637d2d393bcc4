"""What instances take over: from each other, from a Node-RED that stands alone; and stacks that are not built."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import Forbidden, Invalid
from appliance.model import Desired
from appliance.schema.catalogue import CreateStack
from appliance.schema.instances import ChangeInstance, CopyOptions, ImportProject, SourceProject
from appliance.services import copies, credentials
from appliance.services.stack_life import StackLife
from appliance.store import storage
from tests.service_rig import Rig, service_rig

FLOWS = [{"id": "t", "type": "tab", "label": "one"}, {"id": "m", "type": "mqtt-broker", "broker": "b"}]
PASSWORDS = {"m": {"user": "u", "password": "s3cret"}}


@pytest.fixture
async def rig(home: Path) -> AsyncIterator[Rig]:
    async with service_rig(home) as rig:
        yield rig


async def source(rig: Rig) -> str:
    """An instance with flows, credentials, variables and settings."""
    made = await rig.create("line-1", flows=_raw({"flows": FLOWS, "credentials": PASSWORDS}))
    env = [{"name": "KEY", "value": "hidden-1", "hidden": True}, {"name": "A", "value": "1"}]
    settings = {"env": env, "theme": "t", "header": {"title": "One"}}
    await rig.instances.change(rig.admin, made.id, ChangeInstance(settings=settings))
    return made.id


def _raw(value: Any) -> Any:
    from msgspec import Raw

    return Raw(json.dumps(value).encode())


async def stored(rig: Rig, instance_id: str) -> tuple[Any, Any]:
    """Flows, and credentials opened with the instance's own secret."""

    def work(tx: Any) -> tuple[dict[str, bytes], str]:
        return storage.bodies(tx, instance_id), copies.secret_of(tx, rig.context.box, instance_id)

    bodies, secret = await rig.context.store.read(work)
    sealed = json.loads(bodies.get("credentials", b"{}"))
    opened = json.loads(credentials.decrypt(sealed["$"], secret)) if "$" in sealed else sealed
    return json.loads(bodies.get("flows", b"[]")), opened


async def document(rig: Rig, instance_id: str) -> dict[str, Any]:
    return await rig.instances.settings_document(instance_id, "launcher")


async def test_a_new_instance_is_a_copy_under_its_own_key(rig: Rig) -> None:
    made = await rig.create("line-2", source_project=SourceProject(id=await source(rig)))
    assert await stored(rig, made.id) == (FLOWS, PASSWORDS)
    copy = await document(rig, made.id)
    assert (copy["env"]["KEY"], copy["env"]["A"], copy["settings"]["theme"]) == ("hidden-1", "1", "t")
    assert copy["settings"]["header"]["title"] == "line-2" and copy["env"]["FF_INSTANCE_ID"] == made.id
    entry = (await rig.entries(made.id))[0]
    assert entry.event == "project.duplicated" and entry.body["sourceProject"]["name"] == "line-1"


@pytest.mark.parametrize(
    ("options", "flows", "opened", "env"),
    [
        (CopyOptions(), [], {}, {}),
        (CopyOptions(flows=True), FLOWS, {}, {}),
        (CopyOptions(credentials=True), [], {}, {}),
        (CopyOptions(flows=True, credentials=True, env_vars="keys"), FLOWS, PASSWORDS, {"A": ""}),
        (CopyOptions(env_vars=True), [], {}, {"A": "1", "KEY": "hidden-1"}),
    ],
)
async def test_only_what_is_asked_for_is_copied(
    rig: Rig, options: CopyOptions, flows: Any, opened: Any, env: dict[str, str]
) -> None:
    made = await rig.create("line-2", source_project=SourceProject(id=await source(rig), options=options))
    assert await stored(rig, made.id) == (flows, opened)
    copy = await document(rig, made.id)
    assert {name: value for name, value in copy["env"].items() if not name.startswith("FF_")} == env
    assert copy["settings"]["theme"] == "forge-light"


async def test_another_teams_instance_is_no_source(rig: Rig) -> None:
    taken = await source(rig)
    _, application = await rig.team("other")
    for wanted in (taken, "nowhere"):
        with pytest.raises(Invalid) as refused:
            await rig.create("line-2", application_id=application, source_project=SourceProject(id=wanted))
        assert refused.value.code == "invalid_source_project"
    with pytest.raises(Invalid, match="over itself"):
        await rig.instances.change(rig.admin, taken, ChangeInstance(source_project=SourceProject(id=taken)))


async def test_a_copy_over_an_instance_restarts_it(rig: Rig) -> None:
    taken, target = await source(rig), await rig.create("line-2")
    before = await rig.spec(target.id)
    body = ChangeInstance(source_project=SourceProject(id=taken), name="line-3")
    answer = await rig.instances.change(rig.admin, target.id, body)
    after = await rig.spec(target.id)
    assert (after.generation, after.command_generation) == (before.generation, before.command_generation + 1)
    assert answer.name == "line-3" and "restart" in answer.note and rig.pokes[-1] == target.id
    assert await stored(rig, target.id) == (FLOWS, PASSWORDS)
    assert [entry.event for entry in await rig.entries(taken)][0] == "project.copied"
    assert [entry.event for entry in await rig.entries(target.id)][:2] == [
        "project.imported",
        "project.settings.updated",
    ]


async def test_files_of_a_node_red_that_stands_alone(rig: Rig) -> None:
    made = await rig.create()
    sealed = json.dumps({"$": credentials.encrypt(json.dumps(PASSWORDS).encode(), "its own secret")})
    before = await rig.spec(made.id)
    files = ImportProject(flows=json.dumps(FLOWS), credentials=sealed, creds_secret="its own secret")
    await rig.instances.import_files(rig.admin, made.id, files)
    assert await stored(rig, made.id) == (FLOWS, PASSWORDS)
    assert (await rig.spec(made.id)).command_generation == before.command_generation + 1
    assert (await rig.entries(made.id))[0].event == "project.flow-imported"
    for wrong in ("another", "", None):
        with pytest.raises(Forbidden) as refused:
            other = ImportProject(flows="[]", credentials=sealed, creds_secret=wrong)
            await rig.instances.import_files(rig.admin, made.id, other)
        assert refused.value.code == "invalid_credentials_secret"
    for cipher in ("[" * 5_000 + "]" * 5_000, "5", '"x"'):
        with pytest.raises((Forbidden, Invalid)):
            odd = ImportProject(credentials=f'{{"$":{cipher}}}', creds_secret="x")
            await rig.instances.import_files(rig.admin, made.id, odd)
    for bad in (
        ImportProject(),
        ImportProject(flows="{}"),
        ImportProject(flows="[" * 10_000),
        ImportProject(flows='[{"id":"a"},{"id":"a"}]'),
        ImportProject(flows="[]", credentials="[]"),
        ImportProject(flows="[]", credentials='{"a":' + "[" * 10_000),
    ):
        with pytest.raises(Invalid):
            await rig.instances.import_files(rig.admin, made.id, bad)
    assert await stored(rig, made.id) == (FLOWS, PASSWORDS)


async def test_an_instance_that_is_suspended_stays_so(rig: Rig) -> None:
    made = await rig.create()
    await rig.instances.suspend(rig.admin, made.id)
    before = await rig.spec(made.id)
    await rig.instances.import_files(rig.admin, made.id, ImportProject(flows=json.dumps(FLOWS)))
    await rig.instances.change(rig.admin, made.id, ChangeInstance(settings={"theme": "x"}))
    after = await rig.spec(made.id)
    assert (after.desired, after.command_generation) == (Desired.SUSPENDED, before.command_generation)


async def test_a_stack_that_is_not_built_is_not_taken(rig: Rig) -> None:
    made = await rig.create()
    life = StackLife(rig.context, rig.audit, versions={"node-red-4": "4.1.15"}, unbuild=lambda name: None)
    properties = {"nodered": "4.1"}
    await life.create(rig.admin, CreateStack(name="node-red-4", properties=properties))
    before = await rig.spec(made.id)
    with pytest.raises(Invalid, match="not built") as refused:
        await rig.instances.change(rig.admin, made.id, ChangeInstance(name="other", stack="node-red-4"))
    assert refused.value.code == "invalid_stack" and "weir stack build node-red-4" in refused.value.hint
    assert await rig.spec(made.id) == before
    rig.built["node-red-4"] = rig.built["node-red-5"]
    await rig.instances.change(rig.admin, made.id, ChangeInstance(stack="node-red-4"))
    assert (await rig.spec(made.id)).generation == before.generation + 1


async def test_removing_a_stack_removes_its_files_when_nobody_shares_them(rig: Rig) -> None:
    removed: list[str] = []
    life = StackLife(rig.context, rig.audit, versions={"node-red-4": "4.1.15"}, unbuild=removed.append)
    ids = [
        await life.create(rig.admin, CreateStack(name=name, properties={"nodered": "4.1"}))
        for name in ("node-red-4", "small")
    ]
    await life.remove(rig.admin, ids[0])
    assert removed == []
    await life.remove(rig.admin, ids[1])
    assert removed == ["node-red-4"]
