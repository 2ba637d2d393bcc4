"""Parts of the upgrade that need no machine: releases, the note of an upgrade, the database there and back."""

from __future__ import annotations

import contextlib
import mmap
import os
import sqlite3
import time
from pathlib import Path

import pytest

from appliance.config import Home
from appliance.errors import Invalid, NotFound
from appliance.store.migrate import ensure_schema
from appliance.store.schema_version import HEAD
from appliance.upgrade import database
from appliance.upgrade.bundle import make
from appliance.upgrade.releases import Journal, Releases


def release(root: Path, name: str, *, age_s: float = 0, whole: bool = True) -> Path:
    path = root / "releases" / name
    path.mkdir(parents=True)
    if whole:
        (path / "release.json").write_text("{}")
        os.utime(path / "release.json", (time.time() - age_s,) * 2)
    return path


def test_current_is_switched_and_the_one_before_is_remembered(tmp_path: Path) -> None:
    first, second = release(tmp_path, "0.1.0-00000001", age_s=9), release(tmp_path, "0.1.1-00000002")
    releases = Releases(tmp_path)
    assert releases.in_use() is None
    releases.use(first)
    releases.use(second)
    assert releases.in_use() == second and releases.previous.resolve() == first
    releases.use(second)
    assert releases.previous.resolve() == first, "the same again is no change"
    assert [each.name for each in releases.all()] == ["0.1.0-00000001", "0.1.1-00000002"]


@pytest.mark.parametrize("name", ["", "..", "0.1.0-00000003", "../releases/0.1.0-00000001", "0.1.0-0000000g"])
def test_only_whole_releases_have_a_name(tmp_path: Path, name: str) -> None:
    release(tmp_path, "0.1.0-00000001")
    release(tmp_path, "0.1.0-00000003", whole=False)
    with pytest.raises(Invalid, match="no release"):
        Releases(tmp_path).named(name)


def test_old_releases_go_but_those_that_are_needed(tmp_path: Path) -> None:
    made = [release(tmp_path, f"0.1.{n}-0000000{n}", age_s=100 - n) for n in range(7)]
    releases = Releases(tmp_path)
    releases.use(made[0])
    releases.use(made[1])
    journal = Journal(before=made[0].name, after=made[1].name, schema=HEAD, began_at=0.0)
    releases.begin(journal)
    assert releases.begun() == journal and releases.tidy() == [], "not in the middle of an upgrade"
    releases.end()
    assert releases.begun() is None
    assert releases.tidy() == [made[2].name, made[3].name, made[4].name]
    assert releases.in_use() == made[1] and releases.previous.resolve() == made[0]
    assert releases.tidy() == []


def test_a_release_that_a_process_runs_from_stays(tmp_path: Path) -> None:
    made = [release(tmp_path, f"0.1.{n}-0000000{n}", age_s=100 - n) for n in range(4)]
    (made[0] / "lib").write_bytes(b"x" * 4096)
    with (made[0] / "lib").open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ):
        assert Releases(tmp_path).tidy() == [made[1].name]
    assert Releases(tmp_path).tidy() == [made[0].name], "nothing runs from it any more"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    ensure_schema(home.database)
    return home


def change(path: Path, sql: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(sql)
        connection.commit()


def test_a_rehearsal_leaves_nothing_and_changes_nothing(home: Home) -> None:
    before = sorted(path.name for path in home.state.iterdir())
    assert database.schema(home) == HEAD and database.rehearse(home) == HEAD
    assert sorted(path.name for path in home.state.iterdir() if path.name != "upgrade") == before
    assert list((home.state / "upgrade").rglob("*.db*")) == []


def test_the_database_comes_back_as_it_was_before_the_migration(home: Home) -> None:
    begun = time.time()
    backups = home.state / "backups"
    backups.mkdir(exist_ok=True)
    copy = backups / f"weir-schema-{HEAD}-20261123T000000Z.db"
    change(home.database, f"VACUUM INTO '{copy}'")
    change(home.database, "UPDATE alembic_version SET version_num = '9999'")
    change(home.database, "CREATE TABLE tried (x INTEGER)")
    assert database.schema(home) == "9999"
    assert database.restore(home, HEAD, begun) == copy
    assert database.schema(home) == HEAD
    assert database.rehearse(home) == HEAD, "it is whole"
    assert (backups / "weir-failed-upgrade.db").exists(), "nothing is thrown away"
    assert database.restore(home, HEAD, begun) is None, "there is nothing more to do"


def test_a_copy_of_an_earlier_upgrade_is_not_taken_for_this_one_s(home: Home) -> None:
    backups = home.state / "backups"
    backups.mkdir(exist_ok=True)
    old = backups / f"weir-schema-{HEAD}-20250101T000000Z.db"
    change(home.database, f"VACUUM INTO '{old}'")
    os.utime(old, (1, 1))
    change(home.database, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(NotFound, match="no copy"):
        database.restore(home, HEAD, time.time())
    assert database.schema(home) == "9999", "left as it is"


@pytest.mark.parametrize("name", ["--registry=http://x", "/etc/passwd", "a b", "https://x/y.tgz"])
def test_a_palette_has_names_of_packages(tmp_path: Path, name: str) -> None:
    with pytest.raises(Invalid, match="not the name"):
        make(tmp_path / "b", [name], debian=False, say=lambda _: None)
    assert list(tmp_path.iterdir()) == []
