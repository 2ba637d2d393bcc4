"""How instances are made: names, defaults, ports, first flows."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from msgspec import Raw

from appliance.auth.secrets import SEALED_FOR_CREDENTIALS
from appliance.config import Config, Limits
from appliance.errors import Conflict, Invalid, TooLarge
from appliance.model import SYSTEM, Desired, Role
from appliance.schema.instances import CreateInstance
from appliance.services.names import BANNED, check_name
from appliance.store import instances, storage
from tests.service_rig import Rig, service_rig


@pytest.fixture
async def rig(home: Path) -> AsyncIterator[Rig]:
    async with service_rig(home) as rig:
        yield rig


@pytest.mark.parametrize("name", ["a", "Line-1", "x" * 63, " line "])
def test_good_names(name: str) -> None:
    assert check_name(name) == name.strip()


@pytest.mark.parametrize(
    "name", ["1a", "-a", "a_b", "a b", "a\nb", "ünit", "a/b", "a.b", "x" * 64, "a\x00", "Forge", *sorted(BANNED)]
)
def test_bad_names_conflict(name: str) -> None:
    with pytest.raises(Conflict) as refused:
        check_name(name)
    assert refused.value.code == "invalid_project_name"
    assert refused.value.hint


@pytest.mark.parametrize("name", ["", "  ", "\n"])
def test_no_name_is_invalid(name: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_name(name)
    assert refused.value.code == "invalid_name"


async def test_a_name_alone_makes_an_instance_with_the_defaults_of_the_box(rig: Rig) -> None:
    made = await rig.create("Line-1")
    assert (made.name, made.safe_name, made.desired) == ("Line-1", "line-1", "running")
    assert made.application.id == rig.made.application_id
    assert made.team["id"] == rig.made.team_id
    assert (made.stack.name, made.template.name, made.project_type.name) == ("node-red-5", "Default", "Default")
    assert made.url == "https://box.test:10000"
    assert made.hostname == "box.test"
    assert made.ports == {"public": 10000, "node_red": 12080, "launcher": 13080}
    assert made.links.self == f"https://box.test:8443/api/v1/projects/{made.id}"
    assert made.settings["header"] == {"title": "Line-1"}
    assert rig.pokes == [made.id]
    assert await rig.instances.get(made.id) == made


async def test_creation_is_audited_and_announced(rig: Rig) -> None:
    made = await rig.create()
    (entry,) = await rig.entries(made.id)
    assert entry.event == "project.created"
    assert (entry.scope.type, entry.scope.id) == ("project", made.id)
    assert (entry.trigger.type, entry.trigger.id, entry.username) == ("user", rig.made.user_id, "admin")
    assert entry.body["project"] == {"id": made.id, "name": "line-1"}
    assert [event.key for event in rig.events if event.kind == "instance.changed"] == [made.id]


async def test_a_name_is_taken_in_any_case(rig: Rig) -> None:
    await rig.create("Line-1")
    for attempt in ("line-1", "LINE-1"):
        with pytest.raises(Conflict, match="already an instance") as refused:
            await rig.create(attempt)
        assert refused.value.code == "invalid_project_name"
        with pytest.raises(Conflict):
            await rig.instances.check_name(attempt)
    await rig.instances.check_name("line-2")
    assert (await rig.instances.list(rig.admin)).count == 1


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"application_id": "nothing"}, "invalid_application"),
        ({"project_type": "nothing"}, "invalid_project_type"),
        ({"stack": "nothing"}, "invalid_stack"),
        ({"template": "nothing"}, "invalid_request"),
    ],
)
async def test_unknown_parts_are_named(rig: Rig, fields: dict[str, str], code: str) -> None:
    with pytest.raises(Invalid, match="nothing") as refused:
        await rig.create(**fields)
    assert refused.value.code == code
    assert (await rig.instances.list(rig.admin)).count == 0


async def test_parts_may_be_named_instead_of_their_ids(rig: Rig) -> None:
    made = await rig.create(stack="node-red-5", template="Default", project_type="Default")
    assert made.stack.name == "node-red-5"


async def test_numbers_are_the_lowest_free_ones_and_come_back(rig: Rig) -> None:
    first, second = await rig.create("a"), await rig.create("b")
    assert [first.ports["public"], second.ports["public"]] == [10000, 10001]
    await rig.instances.delete(rig.admin, first.id)
    assert (await rig.create("c")).ports["public"] == 10002, "a number in use until it is really gone"
    await rig.instances.removed(first.id)
    assert (await rig.create("d")).ports["public"] == 10000


async def test_a_number_whose_ports_are_in_use_elsewhere_is_skipped(home: Path) -> None:
    busy = {10000, 12081, 13082}
    async with service_rig(home, probe=lambda port: port not in busy) as rig:
        assert (await rig.create()).ports["public"] == 10003


async def test_no_free_port_says_why_and_what_to_do(home: Path) -> None:
    async with service_rig(home, probe=lambda port: False) as rig:
        with pytest.raises(Conflict, match="port in use by another program") as refused:
            await rig.create()
        assert refused.value.code == "no_free_ports"
        assert "public_base" in refused.value.hint


async def test_many_at_the_same_time_get_numbers_of_their_own(rig: Rig) -> None:
    made = await asyncio.gather(*(rig.create(f"line-{n}") for n in range(40)))
    assert sorted(instance.ports["public"] for instance in made) == list(range(10000, 10040))


async def test_the_same_name_at_the_same_time_is_made_once(rig: Rig) -> None:
    results = await asyncio.gather(*(rig.create("one") for _ in range(8)), return_exceptions=True)
    refused = [result for result in results if isinstance(result, BaseException)]
    assert len(refused) == 7
    assert all(isinstance(error, Conflict) and error.code == "invalid_project_name" for error in refused)


async def test_the_credential_secret_is_sealed_and_opens_only_for_its_instance(rig: Rig) -> None:
    made = await rig.create()
    sealed = await rig.context.store.read(lambda tx: instances.sealed_secret(tx, made.id))
    assert sealed is not None
    secret = rig.context.box.unseal(SEALED_FOR_CREDENTIALS, made.id, sealed)
    assert len(secret) == 64
    assert secret not in sealed


FLOWS = b'[ {"id":"t1","type":"tab","label":"\\u00e4"},\n {"id":"n1","type":"inject","z":"t1"} ]'


async def test_flows_are_stored_as_given(rig: Rig) -> None:
    body = msgspec.json.decode(b'{"name":"a","flows":' + FLOWS + b"}", type=CreateInstance)
    made = await rig.instances.create(rig.admin, body)
    assert await rig.storage.get(made.id, "flows") == FLOWS
    assert made.flow_last_updated_at == "2026-11-23T12:00:00.000Z"


@pytest.mark.parametrize("body", [b'{"name":"a"}', b'{"name":"a","flows":null}'])
async def test_without_flows_nothing_is_stored(rig: Rig, body: bytes) -> None:
    made = await rig.instances.create(rig.admin, msgspec.json.decode(body, type=CreateInstance))
    assert await rig.storage.get(made.id, "flows") is None
    assert made.flow_last_updated_at is None


async def test_plain_credentials_are_encrypted_with_the_new_secret(rig: Rig) -> None:
    plain = {"n1": {"password": "hunter2"}}
    export = msgspec.json.encode({"flows": Raw(FLOWS), "credentials": plain})
    made = await rig.create(flows=Raw(export))
    stored = await rig.storage.get(made.id, "credentials")
    assert stored is not None
    assert b"hunter2" not in stored
    sealed = await rig.context.store.read(lambda tx: instances.sealed_secret(tx, made.id)) or ""
    secret = rig.context.box.unseal(SEALED_FOR_CREDENTIALS, made.id, sealed)
    assert _decrypt(msgspec.json.decode(stored)["$"], secret) == plain


def _decrypt(text: str, secret: str) -> Any:
    key = hashlib.sha256(secret.encode()).digest()
    decryptor = Cipher(algorithms.AES(key), modes.CTR(bytes.fromhex(text[:32]))).decryptor()
    return msgspec.json.decode(decryptor.update(base64.b64decode(text[32:])) + decryptor.finalize())


@pytest.mark.parametrize(
    ("flows", "said"),
    [
        (b'[{"id":"n1","type":"a"},{"id":"n1","type":"b"}]', "'n1' is there twice"),
        (b'[{"type":"tab"}]', "missing required field `id`"),
        (b'[{"id":5}]', "Expected `str`"),
        (b"5", "Expected `array`"),
        (b'{"nodes":[]}', "missing required field `flows`"),
        (b'{"flows":{}}', "Expected `array`"),
        (b'{"flows":[],"credentials":{"$":"00ff"}}', "encrypted with the secret"),
        (b'[{"id":"a","x":NaN}]', "malformed"),
        (b'[{"id":"a","x":"\xff"}]', "not UTF-8"),
        (b'[{"id":"a","x":' + b"[" * 10000 + b"]" * 10000 + b"}]", "nested too deeply"),
    ],
)
async def test_flows_that_could_not_be_loaded_make_nothing(rig: Rig, flows: bytes, said: str) -> None:
    with pytest.raises(Invalid, match=said) as refused:
        await rig.create(flows=Raw(flows))
    assert refused.value.hint
    assert (await rig.instances.list(rig.admin)).count == 0


async def test_flows_above_the_limit_are_too_large(home: Path) -> None:
    async with service_rig(home, config=Config(limits=Limits(json_bytes=100))) as rig:
        with pytest.raises(TooLarge):
            await rig.create(flows=Raw(b'[{"id":"' + b"x" * 100 + b'"}]'))


async def test_without_an_application_it_goes_where_the_subject_owns_a_team(rig: Rig) -> None:
    _, application_id = await rig.team("other")
    owner = await rig.member("olga", Role.OWNER, (await rig.team("third"))[0])
    made = await rig.instances.create(owner, CreateInstance(name="of-olga"))
    assert made.team["name"] == "third"
    viewer = await rig.member("vera", Role.VIEWER)
    with pytest.raises(Invalid) as refused:
        await rig.instances.create(viewer, CreateInstance(name="of-vera"))
    assert refused.value.code == "invalid_application"
    made = await rig.instances.create(SYSTEM, CreateInstance(name="of-box", application_id=application_id))
    assert made.team["name"] == "other"
    assert made.desired == Desired.RUNNING.value


async def test_deleting_keeps_the_flows_in_a_private_file(rig: Rig) -> None:
    made = await rig.create("Gone", flows=Raw(FLOWS))
    await rig.storage.put(made.id, "sessions", b'{"token":{}}')
    rig.clock.forward(minutes=5)
    await rig.instances.delete(rig.admin, made.id)
    told = (await rig.entries(made.id))[0]
    assert told.event == "project.deleted"
    kept = Path(told.body["info"]["kept"])
    assert kept.name not in _files(kept.parent), "written when the launcher is gone, so that no later deploy is missed"
    later = FLOWS.replace(b"inject", b"debug ")
    await rig.storage.put(made.id, "flows", later)
    await rig.instances.removed(made.id)
    document = _read_private(kept)
    assert document["stored"]["flows"] == msgspec.json.decode(later)
    assert "sessions" not in document["stored"]
    secret = rig.context.box.unseal(SEALED_FOR_CREDENTIALS, made.id, document["sealedCredentialSecret"])
    assert len(secret) == 64
    assert await rig.context.store.read(lambda tx: storage.bodies(tx, made.id)) == {}
    assert await rig.instances.spec(made.id) is None
    assert [event.kind for event in rig.events][-2:] == ["token.revoked", "instance.removed"]
    assert (await rig.entries(made.id))[0].event == "project.deleted", "the log outlives the instance"


def _files(directory: Path) -> list[str]:
    return [file.name for file in directory.iterdir()] if directory.exists() else []


def _read_private(file: Path) -> Any:
    assert file.stat().st_mode & 0o777 == 0o600
    return msgspec.json.decode(file.read_bytes())


async def test_removed_is_idempotent_and_refuses_what_is_wanted(rig: Rig) -> None:
    made = await rig.create()
    with pytest.raises(Conflict, match="is wanted"):
        await rig.instances.removed(made.id)
    await rig.instances.delete(rig.admin, made.id)
    await rig.instances.removed(made.id)
    await rig.instances.removed(made.id)


async def test_at_most_fifty_remains_are_kept(rig: Rig) -> None:
    directory = rig.context.home.state / "deleted"
    directory.mkdir()
    for number in range(60):
        (directory / f"old-{number}.json").write_text("{}")
    made = await rig.create("newest")
    await rig.instances.delete(rig.admin, made.id)
    await rig.instances.removed(made.id)
    names = [file.name for file in directory.iterdir()]
    assert len(names) == 50
    assert any(name.startswith("newest-") for name in names)


async def test_a_row_stays_when_its_flows_cannot_be_kept(rig: Rig) -> None:
    made = await rig.create(flows=Raw(FLOWS))
    await rig.instances.delete(rig.admin, made.id)
    (rig.context.home.state / "deleted").write_text("in the way")
    with pytest.raises(Exception, match="can't be kept"):
        await rig.instances.removed(made.id)
    assert await rig.storage.get(made.id, "flows") == FLOWS
