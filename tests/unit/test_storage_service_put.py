"""What Node-RED stores: bytes as given, durable, never half, never twice."""

from __future__ import annotations

import asyncio
import hashlib
import statistics
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from appliance.config import Config, Limits
from appliance.errors import Invalid, NotFound, TooLarge
from appliance.services import documents
from appliance.services.storage import KINDS
from appliance.store import storage
from appliance.store.storage import Stored
from tests.service_rig import Rig, service_rig

NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
async def rig(home: Path) -> AsyncIterator[Rig]:
    async with service_rig(home, config=Config(limits=Limits(json_bytes=2_000_000))) as rig:
        yield rig


@pytest.fixture
async def instance_id(rig: Rig) -> str:
    return (await rig.create()).id


async def _state(rig: Rig, instance_id: str, kind: str = "flows") -> Stored:
    stored = await rig.context.store.read(lambda tx: storage.state(tx, instance_id, kind))
    assert stored is not None
    return stored


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("flows", b"[]"),
        ("flows", b'[ {"id": "1", "n": 1.50, "big": 123456789012345678901234567890, "e": 1e999},\n\t{"id":"2"} ]'),
        ("flows", '[{"id":"\\u0000", "name":"π 🦉"}]'.encode()),
        ("flows", b'[{"name":"half an emoji \\ud83d", "and":"\\\\ud83d"}]'),
        ("credentials", b'{"$":"00"}'),
        ("settings", b'{ "nodes": {} }'),
        ("sessions", b"{}"),
    ],
)
async def test_bytes_come_back_as_they_were_given(rig: Rig, instance_id: str, kind: str, body: bytes) -> None:
    assert await rig.storage.get(instance_id, kind) is None
    assert await rig.storage.put(instance_id, kind, body) == body
    assert await rig.storage.get(instance_id, kind) == body
    assert (await _state(rig, instance_id, kind)).sha256 == hashlib.sha256(body).hexdigest()


BAD = [
    (b"{}", "Expected `array`"),
    (b"null", "Expected `array`"),
    (b'"[]"', "Expected `array`"),
    (b"", "truncated"),
    (b'[{"id":"1"}', "truncated"),
    (b"[] []", "trailing"),
    (b'[{"x":NaN}]', "malformed"),
    (b"[Infinity]", "malformed"),
    (b"\xef\xbb\xbf[]", "malformed"),
    (b'[{"x":"\xff"}]', r"not UTF-8 \(byte 7\)"),
    (b'[{"x":"\xed\xa0\x80"}]', "not UTF-8"),
    (b"[" * 10_000 + b"]" * 10_000, "nested too deeply"),
    (b'[{"a":' * 10_000, "nested too deeply|truncated"),
    (b'["\\ud83d" 1]', "malformed"),
    (b"[01]", "malformed"),
]


@pytest.mark.parametrize(("body", "said"), BAD, ids=lambda value: str(value)[:24])
async def test_what_is_no_document_changes_nothing(rig: Rig, instance_id: str, body: bytes, said: str) -> None:
    await rig.storage.put(instance_id, "flows", b'[{"id":"kept"}]')
    with pytest.raises(Invalid, match=said) as refused:
        await rig.storage.put(instance_id, "flows", body)
    assert "Nothing was changed" in refused.value.hint
    assert await rig.storage.get(instance_id, "flows") == b'[{"id":"kept"}]'
    assert (await _state(rig, instance_id)).revision == 1


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"flows"}))
async def test_the_other_kinds_are_objects(rig: Rig, instance_id: str, kind: str) -> None:
    with pytest.raises(Invalid, match="Expected `object`"):
        await rig.storage.put(instance_id, kind, b"[]")
    assert await rig.storage.get(instance_id, kind) is None


async def test_above_the_limit_nothing_is_stored(rig: Rig, instance_id: str) -> None:
    body = b'["' + b"x" * 2_000_000 + b'"]'
    with pytest.raises(TooLarge, match="2000000"):
        await rig.storage.put(instance_id, "flows", body)
    assert await rig.storage.get(instance_id, "flows") is None
    large = b'["' + b"x" * 1_900_000 + b'"]'
    assert await rig.storage.put(instance_id, "flows", large) == large


async def test_unknown_kinds_and_instances_are_not_found(rig: Rig, instance_id: str) -> None:
    with pytest.raises(NotFound):
        await rig.storage.get(instance_id, "secrets")
    for kind in KINDS:
        with pytest.raises(NotFound):
            await rig.storage.put(NOBODY, kind, b"[]" if kind == "flows" else b"{}")


async def test_a_repeated_request_writes_once(rig: Rig, instance_id: str) -> None:
    first, later = b'[{"id":"1"}]', b'[{"id":"2"}]'
    await rig.storage.put(instance_id, "flows", first, request_id="r1")
    assert await rig.storage.put(instance_id, "flows", first, request_id="r1") == first
    assert (await _state(rig, instance_id)).revision == 1
    await rig.storage.put(instance_id, "flows", later, request_id="r2")
    assert await rig.storage.put(instance_id, "flows", first, request_id="r1") == first, "answered as the first time"
    assert await rig.storage.get(instance_id, "flows") == later, "a late copy must not undo a newer deploy"
    assert (await _state(rig, instance_id)).revision == 2


async def test_a_repeated_request_writes_once_after_a_restart_of_the_appliance(rig: Rig, instance_id: str) -> None:
    await rig.storage.put(instance_id, "flows", b"[1]", request_id="r1")
    again = type(rig.storage)(rig.context)
    await again.put(instance_id, "flows", b"[1]", request_id="r1")
    assert (await _state(rig, instance_id)).revision == 1


async def test_one_request_id_for_two_bodies_loses_neither(rig: Rig, instance_id: str) -> None:
    await rig.storage.put(instance_id, "flows", b"[1]", request_id="same")
    await rig.storage.put(instance_id, "flows", b"[2]", request_id="same")
    assert await rig.storage.get(instance_id, "flows") == b"[2]"


async def test_a_deploy_of_the_same_flows_counts_but_unchanged_settings_do_not(rig: Rig, instance_id: str) -> None:
    for _ in range(3):
        await rig.storage.put(instance_id, "flows", b"[1]")
        await rig.storage.put(instance_id, "settings", b'{"a":1}')
    assert (await _state(rig, instance_id)).revision == 3
    assert (await _state(rig, instance_id, "settings")).revision == 1


async def test_only_flows_move_the_time_of_the_last_deploy(rig: Rig, instance_id: str) -> None:
    await rig.storage.put(instance_id, "credentials", b"{}")
    assert (await rig.instances.get(instance_id)).flow_last_updated_at is None
    rig.clock.forward(seconds=90)
    await rig.storage.put(instance_id, "flows", b"[]", user="u")
    assert (await rig.instances.get(instance_id)).flow_last_updated_at == "2026-11-23T12:01:30.000Z"


async def test_many_deploys_at_once_leave_one_of_them_whole(rig: Rig, instance_id: str) -> None:
    bodies = [msgspec.json.encode([{"id": str(n), "pad": "x" * 1000 * n}]) for n in range(30)]
    await asyncio.gather(*(rig.storage.put(instance_id, "flows", body) for body in bodies))
    assert await rig.storage.get(instance_id, "flows") in bodies
    assert (await _state(rig, instance_id)).revision == 30


def test_checking_60_kb_takes_less_than_a_millisecond() -> None:
    nodes = [{"id": f"{n:016x}", "type": "function", "func": "return msg;\n" * 10, "x": n} for n in range(320)]
    body = msgspec.json.encode(nodes)
    assert len(body) > 60_000
    times = []
    for _ in range(50):
        begin = time.perf_counter()
        documents.check(body, documents.ARRAY, "flows")
        hashlib.sha256(body).hexdigest()
        times.append(time.perf_counter() - begin)
    assert statistics.median(times) < 0.001


def entry(name: str, body: object, **meta: object) -> bytes:
    return msgspec.json.encode({"name": name, "meta": meta, "body": body})


async def test_library_entries_and_folders(rig: Rig, instance_id: str) -> None:
    put, get = rig.storage.library_put, rig.storage.library_get
    await put(instance_id, "functions", entry("a/b/one.js", "return 1;", outputs=2, fn="forged"))
    await put(instance_id, "functions", entry("a/two.js", "return 2;"))
    await put(instance_id, "functions", entry("a%", "return 3;"))
    await put(instance_id, "flows", entry("flow", [{"id": "1"}]))
    found = await get(instance_id, "functions", "a/b/one.js")
    assert (found.body, found.json) == (b"return 1;", False)
    folder = await get(instance_id, "functions", "a")
    assert (msgspec.json.decode(folder.body), folder.json) == (["b", {"fn": "two.js"}], True)
    assert msgspec.json.decode((await get(instance_id, "functions", "/a/b/")).body) == [{"outputs": 2, "fn": "one.js"}]
    assert msgspec.json.decode((await get(instance_id, "functions", "")).body) == ["a", {"fn": "a%"}]
    assert msgspec.json.decode((await get(instance_id, "functions", "none")).body) == []
    flow = await get(instance_id, "flows", "flow")
    assert (msgspec.json.decode(flow.body), flow.json) == ([{"id": "1"}], True)


async def test_a_library_entry_is_replaced(rig: Rig, instance_id: str) -> None:
    for text in ("old", "new"):
        await rig.storage.library_put(instance_id, "functions", entry("f", text))
    assert (await rig.storage.library_get(instance_id, "functions", "f")).body == b"new"


@pytest.mark.parametrize(
    "document",
    [b"[]", b"{}", b'{"name":"a"}', b'{"body":"x"}', b'{"name":"/","body":"x"}', b'{"name":5,"body":"x"}', b"{",
     b'{"name":"' + b"x" * 1025 + b'","body":""}', b'{"name":"a","body":' + b"[" * 9999 + b"]" * 9999 + b"}"],
    ids=lambda document: str(document)[:24],
)  # fmt: skip
async def test_bad_library_entries(rig: Rig, instance_id: str, document: bytes) -> None:
    with pytest.raises(Invalid):
        await rig.storage.library_put(instance_id, "functions", document)
    assert (await rig.storage.library_get(instance_id, "functions", "")).body == b"[]"


async def test_a_library_belongs_to_its_instance(rig: Rig, instance_id: str) -> None:
    other = (await rig.create("other")).id
    await rig.storage.library_put(instance_id, "functions", entry("mine", "x"))
    assert (await rig.storage.library_get(other, "functions", "")).body == b"[]"
    with pytest.raises(NotFound):
        await rig.storage.library_put(NOBODY, "functions", entry("mine", "x"))
