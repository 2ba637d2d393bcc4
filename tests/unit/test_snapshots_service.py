"""Snapshots over the real store: made, listed, exported, imported, put back, and undone."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from appliance.auth.secrets import SEALED_FOR_CREDENTIALS
from appliance.config import Config, Limits
from appliance.errors import Conflict, Forbidden, Invalid, NotFound
from appliance.model import Desired, Role
from appliance.schema import snapshots as wire
from appliance.schema.common import AuditQuery
from appliance.schema.instances import Instance
from appliance.services import credentials, environment
from appliance.services import snapshots as service
from appliance.services.environment import Vault
from appliance.store import instances, snapshots
from appliance.store.engine import Tx
from tests.service_rig import Rig, service_rig

FIRST, SECOND = b'[{"id":"n1","type":"tab"}]', b'[{"id":"n1","type":"tab"},{"id":"n2","type":"inject"}]'
SETTINGS: dict[str, Any] = {
    "theme": "node-red",
    "palette": {"modules": [{"name": "node-red-contrib-x", "version": "~1.0.0", "local": False}]},
    "env": [{"name": "A", "value": "one"}, {"name": "KEY", "value": "hidden one", "hidden": True}],
}


@pytest.fixture
async def rig(home: Path) -> AsyncIterator[Rig]:
    async with service_rig(home, config=Config(limits=Limits(json_bytes=100_000))) as rig:
        yield rig


@pytest.fixture
async def made(rig: Rig) -> Instance:
    made = await rig.create()
    await deploy(rig, made.id, FIRST, {"n1": {"password": "swordfish"}})
    kept = environment.closed(SETTINGS, Vault(rig.context.box, made.id))
    await rig.context.store.write(lambda tx: instances.set_settings(tx, made.id, kept, at=1))
    return made


async def secret_of(rig: Rig, instance_id: str) -> str:
    sealed = await rig.context.store.read(lambda tx: instances.sealed_secret(tx, instance_id))
    return rig.context.box.unseal(SEALED_FOR_CREDENTIALS, instance_id, str(sealed))


async def deploy(rig: Rig, instance_id: str, flows: bytes, secrets: dict[str, Any]) -> None:
    secret = await secret_of(rig, instance_id)
    await rig.storage.put(instance_id, "flows", flows)
    sealed = {"$": credentials.encrypt(msgspec.json.encode(secrets), secret)}
    await rig.storage.put(instance_id, "credentials", msgspec.json.encode(sealed))


async def opened(rig: Rig, instance_id: str) -> Any:
    stored = msgspec.json.decode(await rig.storage.get(instance_id, "credentials") or b"{}")
    secret = await secret_of(rig, instance_id)
    return msgspec.json.decode(credentials.decrypt(stored["$"], secret)) if stored else {}


async def own(rig: Rig, instance_id: str) -> dict[str, Any]:
    row = await rig.context.store.read(lambda tx: instances.get(tx, instance_id))
    assert row is not None
    return environment.opened(row.settings, Vault(rig.context.box, instance_id))


async def events(rig: Rig, instance_id: str) -> list[str]:
    return [entry.event for entry in (await rig.audit.page("project", instance_id, AuditQuery())).log]


def create(name: str = "before", **more: Any) -> wire.CreateSnapshot:
    return wire.CreateSnapshot(name=name, description="why", **more)


def as_import(file: wire.ExportedSnapshot, owner: str, secret: str | None) -> wire.ImportSnapshot:
    """What a client sends that got this file."""
    body = {"ownerId": owner, "snapshot": Raw(msgspec.json.encode(file)), "credentialSecret": secret}
    return msgspec.json.decode(msgspec.json.encode(body), type=wire.ImportSnapshot)


async def test_a_snapshot_tells_what_it_is_and_hides_what_is_secret(rig: Rig, made: Instance) -> None:
    shot = await rig.snapshots.create(rig.admin, made.id, create())
    assert (shot.name, shot.description, shot.project_id, shot.owner_type) == ("before", "why", made.id, "instance")
    assert shot.modules == {"node-red-contrib-x": "~1.0.0"} and shot.user is not None and shot.user.username == "admin"
    assert not shot.automatic and shot.created_at == shot.updated_at
    full = await rig.snapshots.full(shot.id)
    assert bytes(full.flows.flows) == FIRST and full.flows.credentials is None
    assert full.settings.env == {"A": "one", "KEY": {"hidden": True, "value": ""}}
    assert full.settings.settings["theme"] == "node-red"
    listed = await rig.snapshots.list(made.id)
    assert listed.count == 1 and listed.snapshots == [shot]
    assert (await events(rig, made.id))[0] == "project.snapshot.created"
    raw = await rig.context.store.read(lambda tx: snapshots.content(tx, shot.id))
    assert raw is not None and b"swordfish" not in msgspec.json.encode(raw)
    assert b"hidden one" not in msgspec.json.encode(raw)


async def test_a_rollback_puts_everything_back_and_can_be_undone(rig: Rig, made: Instance) -> None:
    shot = await rig.snapshots.create(rig.admin, made.id, create())
    await deploy(rig, made.id, SECOND, {"n2": {"token": "later"}})
    later = {"theme": "forge-light", "env": [{"name": "B", "value": "two"}]}
    await rig.context.store.write(lambda tx: instances.set_settings(tx, made.id, later, at=2))
    before = await rig.spec(made.id)
    rig.events.clear()
    await rig.snapshots.rollback(rig.admin, made.id, shot.id)
    assert await rig.storage.get(made.id, "flows") == FIRST
    assert await opened(rig, made.id) == {"n1": {"password": "swordfish"}}
    assert await own(rig, made.id) == SETTINGS
    row = await rig.context.store.read(lambda tx: instances.get(tx, made.id))
    assert row is not None and "hidden one" not in str(row.settings), "sealed at rest again"
    assert (await rig.spec(made.id)).command_generation == before.command_generation + 1
    assert "instance.changed" in [event.kind for event in rig.events]  # what pokes the reconciler
    assert (await events(rig, made.id))[0] == "project.snapshot.rolled-back"
    auto = (await rig.snapshots.list(made.id)).snapshots[0]
    assert auto.automatic and auto.name.startswith("Auto Snapshot - 20") and "before" in auto.description
    await rig.snapshots.rollback(rig.admin, made.id, auto.id)
    assert await rig.storage.get(made.id, "flows") == SECOND
    assert await opened(rig, made.id) == {"n2": {"token": "later"}}
    now = await own(rig, made.id)
    assert now["theme"] == "forge-light" and now["env"] == [{"name": "B", "value": "two"}]


@pytest.mark.parametrize("desired", [Desired.STOPPED, Desired.SUSPENDED])
async def test_a_rollback_starts_nothing_that_does_not_run(rig: Rig, made: Instance, desired: Desired) -> None:
    shot = await rig.snapshots.create(rig.admin, made.id, create())
    await (rig.instances.stop if desired is Desired.STOPPED else rig.instances.suspend)(rig.admin, made.id)
    before = await rig.spec(made.id)
    await rig.snapshots.rollback(rig.admin, made.id, shot.id)
    after = await rig.spec(made.id)
    assert (after.desired, after.command_generation) == (desired, before.command_generation)


async def test_a_deploy_that_was_made_before_a_rollback_comes_too_late(rig: Rig, made: Instance) -> None:
    shot = await rig.snapshots.create(rig.admin, made.id, create())
    await rig.storage.put(made.id, "flows", SECOND)
    await rig.snapshots.rollback(rig.admin, made.id, shot.id)
    with pytest.raises(Conflict) as late:
        await rig.storage.put(made.id, "flows", b'[{"id":"n3"}]', base=hashlib.sha256(SECOND).hexdigest())
    assert late.value.code == "flows_changed" and await rig.storage.get(made.id, "flows") == FIRST


async def test_a_snapshot_of_another_instance_is_no_way_back(rig: Rig, made: Instance) -> None:
    other = await rig.create("line-2")
    shot = await rig.snapshots.create(rig.admin, other.id, create())
    for snapshot_id in (shot.id, "nowhere"):
        with pytest.raises(Invalid) as refused:
            await rig.snapshots.rollback(rig.admin, made.id, snapshot_id)
        assert refused.value.code == "invalid_snapshot"
    with pytest.raises(NotFound):
        await rig.snapshots.get(shot.id, made.id)
    with pytest.raises(NotFound):
        await rig.snapshots.remove(rig.admin, shot.id, made.id)
    with pytest.raises(NotFound):
        await rig.snapshots.export(rig.admin, shot.id, wire.ExportSnapshot(credential_secret="x"), made.id)
    assert await rig.storage.get(made.id, "flows") == FIRST and (await rig.snapshots.list(made.id)).count == 0


async def test_an_instance_that_is_being_deleted_goes_back_nowhere(rig: Rig, made: Instance) -> None:
    shot = await rig.snapshots.create(rig.admin, made.id, create())
    await rig.instances.delete(rig.admin, made.id)
    with pytest.raises(Conflict):
        await rig.snapshots.rollback(rig.admin, made.id, shot.id)
    assert (await rig.snapshots.list(made.id)).count == 1


async def test_a_file_carries_an_instance_to_another(rig: Rig, made: Instance) -> None:
    other = await rig.create("line-2")
    shot = await rig.snapshots.create(rig.admin, made.id, create())
    file = await rig.snapshots.export(rig.admin, shot.id, wire.ExportSnapshot(credential_secret="travel"))
    whole = msgspec.json.encode(file)
    assert b"swordfish" not in whole and b"hidden one" not in whole and b"credentialSecret" not in whole
    assert file.exported_by is not None and file.exported_by.username == "admin"
    assert msgspec.json.decode(whole)["settings"]["env"]["KEY"].keys() == {"hidden", "$"}
    came = await rig.snapshots.take(rig.admin, as_import(file, other.id, "travel"))
    assert (came.name, came.description, came.project_id) == ("before", "why", other.id)
    assert await rig.storage.get(other.id, "flows") is None, "an import changes nothing of the instance"
    await rig.snapshots.rollback(rig.admin, other.id, came.id)
    assert await rig.storage.get(other.id, "flows") == FIRST
    assert await opened(rig, other.id) == {"n1": {"password": "swordfish"}}
    assert (await own(rig, other.id))["env"] == SETTINGS["env"]
    assert "project.snapshot.exported" in await events(rig, made.id)
    assert "project.snapshot.imported" in await events(rig, other.id)


async def test_a_wrong_secret_writes_nothing(rig: Rig, made: Instance) -> None:
    shot = await rig.snapshots.create(rig.admin, made.id, create())
    file = await rig.snapshots.export(rig.admin, shot.id, wire.ExportSnapshot(credential_secret="travel"))
    before = await events(rig, made.id)
    for secret, error in (("wrong", Forbidden), (None, Invalid)):
        with pytest.raises(error) as refused:
            await rig.snapshots.take(rig.admin, as_import(file, made.id, secret))
        assert refused.value.code == ("invalid_credentials_secret" if secret else "bad_request")
    assert (await rig.snapshots.list(made.id)).count == 1 and await events(rig, made.id) == before


async def test_credentials_never_leave_without_a_secret(rig: Rig, made: Instance) -> None:
    shot = await rig.snapshots.create(rig.admin, made.id, create())
    with pytest.raises(Invalid) as refused:
        await rig.snapshots.export(rig.admin, shot.id, wire.ExportSnapshot())
    assert refused.value.code == "bad_request"
    without = wire.ExportSnapshot(components=wire.Components(credentials=False))
    file = await rig.snapshots.export(rig.admin, shot.id, without)
    assert file.flows.credentials is None and file.settings.env["KEY"] == {"hidden": True, "value": ""}
    keys = wire.ExportSnapshot(components=wire.Components(flows=False, env_vars="keys"))
    file = await rig.snapshots.export(rig.admin, shot.id, keys)
    assert bytes(file.flows.flows) == b"[]" and file.settings.env == {"A": "", "KEY": {"hidden": True, "value": ""}}


async def test_flows_that_come_with_the_request_are_kept_instead(rig: Rig, made: Instance) -> None:
    sealed = {"$": credentials.encrypt(b'{"n2":{"a":"b"}}', "theirs")}
    body = create(
        flows=Raw(SECOND),
        credentials=Raw(msgspec.json.encode(sealed)),
        credential_secret="theirs",
        settings={"modules": {"node-red": "5.0.7", "node-red-contrib-y": "2.0.0"}},
    )
    shot = await rig.snapshots.create(rig.admin, made.id, body)
    assert shot.modules == {"node-red-contrib-y": "2.0.0"}
    await rig.snapshots.rollback(rig.admin, made.id, shot.id)
    assert await rig.storage.get(made.id, "flows") == SECOND
    assert await opened(rig, made.id) == {"n2": {"a": "b"}}
    inside = Raw(msgspec.json.encode({"flows": [{"id": "x"}], "credentials": sealed}))
    await rig.snapshots.create(rig.admin, made.id, create(flows=inside, credential_secret="theirs"))
    with pytest.raises(Forbidden):
        await rig.snapshots.create(rig.admin, made.id, create(flows=inside, credential_secret="wrong"))
    with pytest.raises(Invalid):
        await rig.snapshots.create(rig.admin, made.id, create(flows=Raw(b'[{"id":"a"},{"id":"a"}]')))


async def test_names_are_checked_and_changed(rig: Rig, made: Instance) -> None:
    for bad in (create(name="a\nb"), create(name="x" * 129)):
        with pytest.raises(Invalid):
            await rig.snapshots.create(rig.admin, made.id, bad)
    shot = await rig.snapshots.create(rig.admin, made.id, create(name=""))
    assert shot.name.startswith("Snapshot - 20")
    changed = await rig.snapshots.change(rig.admin, shot.id, wire.ChangeSnapshot(name="after"))
    assert (changed.name, changed.description) == ("after", "why")
    entry = (await rig.entries(made.id))[0]
    assert entry.event == "project.snapshot.updated" and entry.body["updates"][0]["new"] == "after"
    with pytest.raises(Invalid):
        await rig.snapshots.change(rig.admin, shot.id, wire.ChangeSnapshot(name=" "))
    await rig.snapshots.remove(rig.admin, shot.id)
    with pytest.raises(NotFound):
        await rig.snapshots.get(shot.id)
    assert (await events(rig, made.id))[0] == "project.snapshot.deleted"


async def test_there_is_an_end_to_them(rig: Rig, made: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MOST_SNAPSHOTS", 2)
    shot = await rig.snapshots.create(rig.admin, made.id, create())
    await rig.snapshots.create(rig.admin, made.id, create())
    with pytest.raises(Conflict) as full:
        await rig.snapshots.create(rig.admin, made.id, create())
    assert full.value.code == "snapshots_full"
    for _ in range(service.AUTOMATIC_KEPT + 3):  # a rollback goes on all the same
        await rig.snapshots.rollback(rig.admin, made.id, shot.id)
    listed = (await rig.snapshots.list(made.id)).snapshots
    assert [each.automatic for each in listed].count(True) == service.AUTOMATIC_KEPT
    oldest = [each for each in listed if each.automatic][-1]
    await rig.snapshots.rollback(rig.admin, made.id, oldest.id)
    assert oldest.id in [each.id for each in (await rig.snapshots.list(made.id)).snapshots]


async def test_they_go_with_their_instance_and_stay_without_their_maker(rig: Rig, made: Instance) -> None:
    member = await rig.member("mara", Role.MEMBER)
    shot = await rig.snapshots.create(member, made.id, create())
    assert shot.user is not None and shot.user.username == "mara"

    def forget(tx: Tx) -> None:
        from appliance.store import users

        users.remove(tx, str(member.user_id))

    await rig.context.store.write(forget)
    assert (await rig.snapshots.get(shot.id)).user is None
    await rig.instances.delete(rig.admin, made.id)
    await rig.instances.removed(made.id)
    with pytest.raises(NotFound):
        await rig.snapshots.get(shot.id)


async def test_an_application_shows_those_of_its_instances(rig: Rig, made: Instance) -> None:
    shot = await rig.snapshots.create(rig.admin, made.id, create())
    shown = await rig.snapshots.of_application(made.application.id)
    assert shown.count == 1 and shown.snapshots == [shot] and shown.application.id == made.application.id
    with pytest.raises(NotFound):
        await rig.snapshots.of_application("nowhere")
