"""Disks and databases that really fail: what is told, what still works, and that it ends when it is mended."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from appliance import doctor
from appliance.config import Home
from appliance.errors import Unavailable
from appliance.events import Bus
from appliance.schema.box import Problem
from appliance.services.health import database
from appliance.services.health.machine import measure
from appliance.store import integrity
from appliance.store.engine import Store
from tests.service_rig import Rig, service_rig
from tests.small_disk import AS_ROOT, ext4, fill, immutable, remount, shut, tmpfs
from tests.stores import fresh_database

pytestmark = pytest.mark.real


@asynccontextmanager
async def box_at(root: Path) -> AsyncIterator[Rig]:
    """A box whose disks are really measured."""
    async with service_rig(root) as rig:
        yield rig


async def told(rig: Rig) -> dict[str, Problem]:
    """All that is wrong now, by key, after every check has looked."""
    rig.readings = measure(rig.context.home)
    await rig.health.examine()
    return {each.key: each for each in await rig.box.problems(rig.admin)}


def from_outside(home: Home) -> dict[str, str]:
    """What the doctor finds in the directory, by key of what is wrong."""
    return {each.key: each.detail for each in doctor.examine(home) if not each.ok}


@AS_ROOT
async def test_a_full_disk_refuses_writes_serves_reads_and_mends_by_itself(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "disk", size="12m") as disk:
        async with box_at(disk / "h") as rig:
            made = await rig.create()
            fill(disk / "filler")
            with pytest.raises(Unavailable) as refused:
                for number in range(50):  # what SQLite has room for in its log is still taken
                    await rig.create(f"more-{number}")
            assert refused.value.code == "disk_full"
            problems = await told(rig)
            assert {"disk_full", "database"} <= set(problems)
            assert problems["database"].title == "The database can't be written: the disk is full"
            assert "0 MiB of 12 MiB are free" in problems["disk_full"].evidence
            assert "disk_full" in from_outside(rig.context.home)
            assert (await rig.instances.get(made.id)).name == "line-1"
            assert (await rig.box.status(rig.admin)).instances, "the status is told while nothing can be written"

            (disk / "filler").unlink()
            assert not {"disk_full", "database"} & set(await told(rig))
            await rig.create("after")


@AS_ROOT
async def test_a_disk_without_inodes(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "disk", size="1500m", inodes=400) as disk:
        async with box_at(disk / "h") as rig:
            (disk / "many").mkdir()
            with pytest.raises(OSError):
                for number in range(1000):
                    (disk / "many" / str(number)).touch()
            assert set(await told(rig)) == {"disk_inodes"}
            assert "0 of 400 inodes" in (await told(rig))["disk_inodes"].evidence
            for file in (disk / "many").iterdir():
                file.unlink()
            assert await told(rig) == {}


@AS_ROOT
async def test_a_file_system_that_the_kernel_has_shut(tmp_path: Path) -> None:
    """Neither its mount options nor its rights say so; only a write does."""
    with ext4(tmp_path / "disk", tmp_path / "image", size_mb=64) as disk:
        async with box_at(disk / "h") as rig:
            made = await rig.create()
            assert not {"disk_not_writable", "database"} & set(await told(rig))
            shut(disk)
            assert "disk_not_writable" in await told(rig), "found before anybody wrote"
            with pytest.raises(Unavailable):
                await rig.create("more")
            problems = await told(rig)
            assert {"disk_not_writable", "database"} <= set(problems)
            assert "dmesg" in problems["database"].next_step + problems["disk_not_writable"].next_step
            assert (await rig.instances.get(made.id)).name == "line-1"


@AS_ROOT
async def test_a_disk_mounted_read_only(tmp_path: Path) -> None:
    """From outside: a box can't be started from it."""
    with tmpfs(tmp_path / "disk", size="12m") as disk:
        fresh_database(Home(disk).database)
        remount(disk, "ro")
        found = from_outside(Home(disk))
        assert {"disk_read_only", "database_barred"} <= set(found)
        with pytest.raises(Unavailable):
            await Store.open(Home(disk).database, Bus())
        remount(disk, "rw")
        assert not {"disk_read_only", "database_barred"} & set(from_outside(Home(disk)))


@AS_ROOT
async def test_a_database_that_nobody_may_open_any_more(tmp_path: Path) -> None:
    async with box_at(tmp_path / "h") as rig:
        with immutable(rig.context.home.database):
            assert set(await told(rig)) == {"database_barred"}
            assert "database_barred" in from_outside(rig.context.home)
            await rig.create()  # the file is held open, and the problem says so
        assert await told(rig) == {}


async def test_a_locked_database_and_its_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.store.connection.BUSY_TIMEOUT_S", 0.2)
    async with box_at(tmp_path / "h") as rig:
        intruder = sqlite3.connect(rig.context.home.database, isolation_level=None)
        intruder.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable):
            await rig.create()
        assert (await told(rig))["database"].title == "The database is locked by another program"
        intruder.rollback()
        intruder.close()
        assert await told(rig) == {}


async def test_a_damaged_database(tmp_path: Path) -> None:
    async with box_at(tmp_path / "h") as rig:
        for number in range(30):
            await rig.create(f"line-{number}")
        path = rig.context.home.database
        reader = sqlite3.connect(path)
        reader.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        reader.close()
        assert await told(rig) == {}, "nothing is said of a sound one"
        with path.open("r+b") as file:
            size = os.fstat(file.fileno()).st_size
            for page in range(8, size // 4096, 3):
                file.seek(page * 4096)
                file.write(os.urandom(64))
        rig.clock.forward(seconds=database.SETTLED_S)
        found = {each.key: each for each in (await rig.box.problems(rig.admin))} | await told(rig)
        assert "quick_check" in found["database_damaged"].evidence
        assert "backup" in found["database_damaged"].next_step
        assert "database_damaged" in from_outside(rig.context.home)


def test_a_locked_database_is_not_called_damaged(tmp_path: Path) -> None:
    """Its log is not read without the lock, so what is in the file alone need not fit together."""
    path = fresh_database(tmp_path / "weir.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("PRAGMA locking_mode=EXCLUSIVE")
        holder.execute("CREATE TABLE held (x)")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            integrity.damage(path, lock_s=0.1)
    assert integrity.damage(path) == ""


def test_what_is_no_database_at_all(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.state.mkdir()
    home.database.write_bytes(b"not a database" * 1000)
    assert "not a database" in integrity.damage(home.database)
    assert "database_damaged" in from_outside(home)


def test_a_large_database_is_read_for_a_bounded_time(tmp_path: Path) -> None:
    path = fresh_database(tmp_path / "weir.db")
    assert integrity.damage(path) == ""
    with path.open("r+b") as file:
        file.seek(4096 * 9)
        file.write(os.urandom(4096))
    assert integrity.damage(path) != ""
    assert integrity.damage(path, deadline_s=-1) in ("", integrity.damage(path))
