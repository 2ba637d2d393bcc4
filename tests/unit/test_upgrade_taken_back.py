"""An upgrade is taken back with its database: deploys that were acknowledged meanwhile are there, the rest is told."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw

from appliance.config import Home
from appliance.schema.deploys import HandIn
from appliance.services.health.taken_back import PATTERN, TakenBack, TakenBackCheck, read_note
from appliance.store import kept, offline, storage
from appliance.store.schema_version import HEAD
from appliance.upgrade import database
from tests.service_rig import Rig, service_rig

OLD, NEW, KEPT = b'[{"id":"old"}]', b'[{"id":"new"}]', b'[{"id":"kept"}]'
SEALED = b'{"$":"new"}'


@pytest.fixture
def box(home: Path) -> Home:
    return Home(home)


def sql(path: Path, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(statement, values).fetchall()


def backups(box: Home) -> Path:
    return box.state / "backups"


async def upgraded(box: Home, rig: Rig) -> str:
    """An instance with flows, and a migration that begins now."""
    made = await rig.create("plant")
    await rig.storage.put(made.id, "flows", OLD)
    backups(box).mkdir(exist_ok=True)
    sql(box.database, "VACUUM INTO ?", str(backups(box) / f"weir-schema-{HEAD}-20261123T000000Z.db"))
    return made.id


def stored(box: Home, instance_id: str) -> dict[str, bytes]:
    with offline.transaction(box.database) as tx:
        return storage.bodies(tx, instance_id)


def take_back(box: Home, change: Callable[[Path], None] = lambda _: None) -> TakenBack:
    """The new release has changed the schema; the one before takes its own back."""
    sql(box.database, "CREATE TABLE tried (x INTEGER)")
    sql(box.database, "UPDATE alembic_version SET version_num = '9999'")
    change(box.database)
    done = database.restore(box, HEAD, 0.0)
    assert done is not None and database.schema(box) == HEAD
    assert database.rehearse(box) == HEAD, "it is whole"
    return done[1]


async def test_what_was_deployed_meanwhile_is_there(box: Home) -> None:
    async with service_rig(box.root) as rig:
        plant = await upgraded(box, rig)
        await rig.storage.put(plant, "credentials", SEALED)
        await rig.storage.put(plant, "flows", NEW)
    note = take_back(box)
    assert note.carried == ("plant",) and note.whole, note
    assert stored(box, plant) == {"flows": NEW, "credentials": SEALED}
    assert await TakenBackCheck(backups(box)).look() == [], "there is nothing that anybody has to do"


async def test_a_deploy_that_had_to_be_kept_meanwhile_is_kept_still(box: Home) -> None:
    async with service_rig(box.root) as rig:
        plant = await upgraded(box, rig)
        away = HandIn(id="r1", at="2026-11-23T11:00:00Z", flows=Raw(KEPT), base=["0" * 64], keep=True)
        assert (await rig.deploys.hand_in(plant, away)).result == "kept"
    assert take_back(box).carried == ("plant",)
    with offline.transaction(box.database) as tx:
        assert [kept.content(tx, plant, each.id).flows for each in kept.of_instance(tx, plant)] == [KEPT]  # type: ignore[union-attr]
    assert stored(box, plant) == {"flows": OLD}


async def test_what_can_not_be_carried_over_is_told_until_its_database_is_removed(box: Home) -> None:
    async with service_rig(box.root) as rig:
        await upgraded(box, rig)
        other = await rig.create("other")
        await rig.storage.put(other.id, "flows", NEW)
    note = take_back(box)
    assert note.lost == {"project.created": 1} and note.carried == ()
    (file,) = note.files
    assert json.loads((backups(box) / file).read_text())["stored"]["flows"] == json.loads(NEW)
    assert (backups(box) / file).stat().st_mode & 0o777 == 0o600
    (trouble,) = await TakenBackCheck(backups(box)).look()
    assert file in trouble.evidence and "project.created (1)" in trouble.evidence
    (aside,) = backups(box).glob(PATTERN)
    assert str(aside) in trouble.next_step
    aside.unlink()
    assert await TakenBackCheck(backups(box)).look() == []


async def test_a_migration_that_rewrote_what_is_stored_is_no_deploy(box: Home) -> None:
    async with service_rig(box.root) as rig:
        plant = await upgraded(box, rig)

    def rewrite(path: Path) -> None:
        body = b'{"version":2}'
        sql(path, "UPDATE storage SET body = ?, sha256 = ?", body, hashlib.sha256(body).hexdigest())

    assert take_back(box, rewrite).carried == ()
    assert stored(box, plant) == {"flows": OLD}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("UPDATE storage SET body = X'7b', revision = revision + 1", "not those that were stored"),
        ("ALTER TABLE storage RENAME COLUMN body TO content", "no such column"),
        ("DROP TABLE storage", "no such table"),
    ],
)
async def test_a_database_that_can_not_be_read_is_no_reason_not_to_go_back(box: Home, change: str, why: str) -> None:
    async with service_rig(box.root) as rig:
        plant = await upgraded(box, rig)
        await rig.storage.put(plant, "flows", NEW)

    def spoil(path: Path) -> None:
        sql(path, change)

    note = take_back(box, spoil)
    assert why in note.unread and note.carried == ()
    assert stored(box, plant) == {"flows": OLD}
    (trouble,) = await TakenBackCheck(backups(box)).look()
    assert why in trouble.evidence


async def test_databases_that_hold_nothing_more_do_not_fill_the_disk(box: Home) -> None:
    async with service_rig(box.root) as rig:
        await upgraded(box, rig)
    for number in range(1, 6):
        (backups(box) / f"weir-failed-upgrade-2026110{number}T000000Z.db").write_bytes(b"x")
        note = b'{"at": "then"}' if number != 2 else b'{"at": "then", "lost": {"project.created": 1}}'
        (backups(box) / f"weir-failed-upgrade-2026110{number}T000000Z.json").write_bytes(note)
    take_back(box)
    left = sorted(backups(box).glob(PATTERN))
    assert len(left) == 4 and [each.name[27] for each in left[:3]] == ["2", "4", "5"]
    assert not read_note(left[0]).whole
