"""Deploys that come when the appliance is back: stored when they fit, kept when something else is there by now."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Raw
from msgspec.structs import replace

from appliance.config import Config, Limits
from appliance.errors import Conflict, Invalid, NotFound, TooLarge
from appliance.schema.deploys import HandedIn, HandIn
from appliance.services import deploys as service
from tests.service_rig import Rig, service_rig

OLD, MINE, THEIRS = b'[{"id":"old"}]', b'[{"id":"mine"}]', b'[{"id":"theirs"}]'


@pytest.fixture
async def rig(home: Path) -> AsyncIterator[Rig]:
    async with service_rig(home, config=Config(limits=Limits(json_bytes=100_000))) as rig:
        yield rig


@pytest.fixture
async def instance_id(rig: Rig) -> str:
    made = await rig.create()
    await rig.storage.put(made.id, "flows", OLD)
    await rig.storage.put(made.id, "credentials", b'{"$":"old"}')
    return made.id


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def hand_in(request_id: str = "r1", flows: bytes = MINE, base: bytes = OLD, **more: Any) -> HandIn:
    return HandIn(id=request_id, at="2026-11-23T11:00:00Z", flows=Raw(flows), base=[sha(base)], **more)


async def stored(rig: Rig, instance_id: str) -> tuple[bytes | None, bytes | None]:
    return await rig.storage.get(instance_id, "flows"), await rig.storage.get(instance_id, "credentials")


def problems(rig: Rig) -> list[str]:
    return [condition.key for condition in rig.conditions.current()]


async def test_a_deploy_that_fits_is_stored_with_its_credentials(rig: Rig, instance_id: str) -> None:
    sealed = Raw(b'{"$":"mine"}')
    body = hand_in(user=rig.made.user_id, credentials=sealed, credentials_base=[sha(b'{"$":"old"}')])
    assert await rig.deploys.hand_in(instance_id, body) == HandedIn(result="stored")
    assert await stored(rig, instance_id) == (MINE, b'{"$":"mine"}')
    assert (await rig.deploys.list(instance_id)).count == 0 and problems(rig) == []


async def test_the_same_again_after_a_lost_answer_changes_nothing(rig: Rig, instance_id: str) -> None:
    await rig.deploys.hand_in(instance_id, hand_in())
    assert (await rig.deploys.hand_in(instance_id, hand_in())).result == "stored"
    await rig.storage.put(instance_id, "flows", THEIRS)
    first = await rig.deploys.hand_in(instance_id, hand_in("r2", keep=True))
    assert first.result == "kept"
    assert await rig.deploys.hand_in(instance_id, hand_in("r2", keep=True)) == first
    assert (await rig.deploys.list(instance_id)).count == 1


async def test_what_was_stored_in_between_stands_and_the_deploy_is_kept(rig: Rig, instance_id: str) -> None:
    await rig.storage.put(instance_id, "flows", THEIRS)
    with pytest.raises(Conflict) as refused:
        await rig.deploys.hand_in(instance_id, hand_in())
    assert refused.value.code == "flows_changed" and problems(rig) == []
    answer = await rig.deploys.hand_in(instance_id, hand_in(keep=True, user=rig.made.user_id))
    assert answer == HandedIn(result="kept", name="deploy-20261123-110000")
    assert (await stored(rig, instance_id))[0] == THEIRS
    (kept,) = (await rig.deploys.list(instance_id)).kept
    assert (kept.name, kept.reason, kept.username, kept.bytes) == (answer.name, "flows_changed", "admin", len(MINE))
    assert kept.made_at == "2026-11-23T11:00:00.000Z"
    assert bytes((await rig.deploys.flows(instance_id, kept.id)).flows) == MINE
    assert problems(rig) == [f"deploy_kept:{instance_id}"]
    (condition,) = rig.conditions.current()
    assert "rollback" in condition.cause and "weir instance kept line-1" in condition.next_step
    assert (await rig.entries(instance_id))[0].event == "project.deploy.kept"


async def test_credentials_that_were_changed_in_between_stand_too(rig: Rig, instance_id: str) -> None:
    await rig.storage.put(instance_id, "credentials", b'{"$":"theirs"}')
    body = hand_in(credentials=Raw(b'{"$":"mine"}'), credentials_base=[sha(b'{"$":"old"}')], keep=True)
    assert (await rig.deploys.hand_in(instance_id, body)).result == "kept"
    assert await stored(rig, instance_id) == (OLD, b'{"$":"theirs"}')
    # A deploy that changed none has nothing to do with them.
    assert (await rig.deploys.hand_in(instance_id, hand_in("r2"))).result == "stored"


async def test_changed_and_changed_back_is_no_conflict(rig: Rig, instance_id: str) -> None:
    await rig.storage.put(instance_id, "flows", THEIRS)
    await rig.storage.put(instance_id, "flows", OLD)
    assert (await rig.deploys.hand_in(instance_id, hand_in())).result == "stored"


async def test_a_new_instance_has_an_empty_list_as_its_base(rig: Rig) -> None:
    made = await rig.create("line-2")
    assert (await rig.deploys.hand_in(made.id, hand_in(base=b"[]"))).result == "stored"


async def test_a_late_write_does_not_undo_what_came_after_it(rig: Rig, instance_id: str) -> None:
    """The editor's own request, which a frozen appliance finds when it goes on."""
    await rig.deploys.hand_in(instance_id, hand_in())
    with pytest.raises(Conflict) as late:
        await rig.storage.put(instance_id, "flows", b'[{"id":"late"}]', base=sha(OLD))
    assert late.value.code == "flows_changed"
    assert (await stored(rig, instance_id))[0] == MINE
    assert await rig.storage.put(instance_id, "flows", THEIRS, base=f"{sha(OLD)},{sha(MINE)}") == THEIRS


@pytest.mark.parametrize(("flows", "refused"), [(b'{"no":"list"}', Invalid), (b'["%s"]' % (b"x" * 100_000), TooLarge)])
async def test_what_can_not_be_stored_is_refused_and_can_be_kept(
    rig: Rig, instance_id: str, flows: bytes, refused: type[Exception]
) -> None:
    with pytest.raises(refused):
        await rig.deploys.hand_in(instance_id, hand_in(flows=flows))
    answer = await rig.deploys.hand_in(instance_id, hand_in(flows=flows, keep=True))
    (kept,) = (await rig.deploys.list(instance_id)).kept
    assert answer.result == "kept" and kept.reason == "refused" and kept.message
    assert bytes((await rig.deploys.flows(instance_id, kept.id)).flows) == flows
    with pytest.raises(Invalid):
        await rig.deploys.restore(rig.admin, instance_id, kept.id)
    assert (await stored(rig, instance_id))[0] == OLD


async def test_what_the_sender_has_to_keep_is_shown_too(rig: Rig, instance_id: str) -> None:
    note = HandIn(id="r9", keep=True, refused="Weir refused it; it is in /x/deploy-refused-r9.json on the box.")
    assert (await rig.deploys.hand_in(instance_id, note)).result == "kept"
    (kept,) = (await rig.deploys.list(instance_id)).kept
    assert kept.bytes == 0 and "deploy-refused-r9.json" in kept.message
    with pytest.raises(Conflict) as elsewhere:
        await rig.deploys.flows(instance_id, kept.id)
    assert elsewhere.value.code == "kept_elsewhere"
    with pytest.raises(Conflict):
        await rig.deploys.restore(rig.admin, instance_id, kept.id)


async def test_a_restore_takes_its_turn_and_can_be_undone(rig: Rig, instance_id: str) -> None:
    await rig.storage.put(instance_id, "flows", THEIRS)
    await rig.deploys.hand_in(instance_id, hand_in(keep=True, credentials=Raw(b'{"$":"mine"}')))
    (kept,) = (await rig.deploys.list(instance_id)).kept
    rig.pokes.clear()
    before = (await rig.spec(instance_id)).command_generation
    await rig.deploys.restore(rig.admin, instance_id, kept.id)
    assert await stored(rig, instance_id) == (MINE, b'{"$":"mine"}')
    assert (await rig.spec(instance_id)).command_generation == before + 1 and rig.pokes == [instance_id]
    assert problems(rig) == [], "what a restore replaced is no problem"
    (replaced,) = (await rig.deploys.list(instance_id)).kept
    assert replaced.reason == "replaced"
    await rig.deploys.restore(rig.admin, instance_id, replaced.id)
    assert await stored(rig, instance_id) == (THEIRS, b'{"$":"old"}')
    events = [entry.event for entry in await rig.entries(instance_id)]
    assert events.count("project.deploy.restored") == 2


async def test_a_restore_does_not_start_what_is_stopped(rig: Rig, instance_id: str) -> None:
    await rig.deploys.hand_in(instance_id, hand_in(base=b"other", keep=True))
    (kept,) = (await rig.deploys.list(instance_id)).kept
    await rig.instances.suspend(rig.admin, instance_id)
    await rig.deploys.restore(rig.admin, instance_id, kept.id)
    assert (await rig.instances.get(instance_id)).desired == "suspended"


async def test_a_discarded_deploy_is_gone_and_so_is_its_problem(rig: Rig, instance_id: str) -> None:
    await rig.deploys.hand_in(instance_id, hand_in(base=b"other", keep=True))
    (kept,) = (await rig.deploys.list(instance_id)).kept
    other = await rig.create("line-2")
    for asked in (rig.deploys.discard(rig.admin, other.id, kept.id), rig.deploys.restore(rig.admin, other.id, kept.id)):
        with pytest.raises(NotFound):
            await asked
    with pytest.raises(NotFound):
        await rig.deploys.flows(other.id, kept.id)
    await rig.deploys.discard(rig.admin, instance_id, kept.id)
    assert problems(rig) == [] and (await rig.deploys.list(instance_id)).count == 0


async def test_problems_are_told_again_after_a_restart_of_the_appliance(rig: Rig, instance_id: str) -> None:
    await rig.deploys.hand_in(instance_id, hand_in(base=b"other", keep=True))
    rig.conditions.clear(f"deploy_kept:{instance_id}")
    await rig.deploys.tell()
    assert problems(rig) == [f"deploy_kept:{instance_id}"]


async def test_a_flow_can_not_fill_the_disk_with_kept_deploys(
    rig: Rig, instance_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(service.MOST_KEPT):
        await rig.deploys.hand_in(instance_id, hand_in(f"r{number}", base=b"other", keep=True))
    with pytest.raises(Conflict) as full:
        await rig.deploys.hand_in(instance_id, hand_in("more", base=b"other", keep=True))
    assert full.value.code == "kept_full" and "weir instance kept line-1" in full.value.hint
    names = [kept.name for kept in (await rig.deploys.list(instance_id)).kept]
    assert len(set(names)) == service.MOST_KEPT and names[1] == "deploy-20261123-110000-2"
    other = await rig.create("line-2")
    monkeypatch.setattr(service, "MOST_KEPT_BYTES", len(MINE))
    await rig.deploys.hand_in(other.id, hand_in("r1", base=b"other", keep=True))
    with pytest.raises(Conflict):
        await rig.deploys.hand_in(other.id, hand_in("r2", base=b"other", keep=True))


async def test_nor_with_their_credentials(rig: Rig, instance_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = Raw(b'{"$":"%s"}' % (b"x" * 1000))
    monkeypatch.setattr(service, "MOST_KEPT_BYTES", 1500)
    await rig.deploys.hand_in(instance_id, hand_in("r1", base=b"other", keep=True, credentials=sealed))
    with pytest.raises(Conflict) as full:
        await rig.deploys.hand_in(instance_id, hand_in("r2", base=b"other", keep=True, credentials=sealed))
    assert full.value.code == "kept_full"


@pytest.mark.parametrize("at", ["", "yesterday", "0001-01-01T00:00:00Z", "2026-11-23T11:00:00", "9" * 400])
async def test_a_time_that_is_none_is_that_of_the_arrival(rig: Rig, instance_id: str, at: str) -> None:
    body = replace(hand_in(base=b"other", keep=True), at=at)
    assert (await rig.deploys.hand_in(instance_id, body)).name == "deploy-20261123-120000"


async def test_two_at_once_are_one(rig: Rig, instance_id: str) -> None:
    bodies = [hand_in("same", base=b"other", keep=True)] * 5
    answers = await asyncio.gather(*(rig.deploys.hand_in(instance_id, body) for body in bodies))
    assert len({answer.name for answer in answers}) == 1 and (await rig.deploys.list(instance_id)).count == 1


async def test_an_instance_that_is_gone_keeps_nothing(rig: Rig) -> None:
    with pytest.raises(NotFound):
        await rig.deploys.hand_in("00000000-0000-4000-8000-000000000000", hand_in(keep=True))


async def test_a_deleted_instance_leaves_its_kept_deploys_behind_too(rig: Rig, instance_id: str) -> None:
    sealed = Raw(b'{"$":"mine"}')
    answer = await rig.deploys.hand_in(instance_id, hand_in(base=b"other", keep=True, credentials=sealed))
    await rig.instances.delete(rig.admin, instance_id)
    await rig.instances.removed(instance_id)
    (file,) = (rig.context.home.state / "deleted").iterdir()
    stored = msgspec.json.decode(file.read_bytes())["stored"]
    assert stored[f"{answer.name}-credentials"] == {"$": "mine"}
    assert stored[answer.name] == [{"id": "mine"}] and stored["flows"] == [{"id": "old"}]
    assert problems(rig) == []
