"""A backup is restored whole or not at all, on a blank box, whatever happened to it on the way."""

from __future__ import annotations

import os
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

import pyrage
import pytest
from alembic import command
from alembic.config import Config as Alembic

from appliance.auth.secrets import SEALED_FOR_CREDENTIALS, open_box
from appliance.backup import container, crypt
from appliance.backup.container import About
from appliance.backup.create import create
from appliance.backup.restore import Restored, Wanted, refuse_used, restore
from appliance.config import Home
from appliance.errors import Conflict, Invalid, WeirError
from appliance.schema.backup_jobs import Create, InstanceSource
from appliance.store import audit, instances, migrations, offline
from appliance.store.schema_version import HEAD
from appliance.system.swap import Move, recover, staging, swap
from tests.backup_rig import PASSPHRASE, SECRET, SmallBox, small_box, tree
from tests.small_disk import AS_ROOT, tmpfs


def back(file: Path, home: Path, **more: object) -> Restored:
    home.mkdir(exist_ok=True)
    wanted = Wanted(file=file, passphrase=PASSPHRASE, **more)  # type: ignore[arg-type]
    return restore(Home(home), wanted, lambda step, fraction: None)


@pytest.fixture
async def box(tmp_path: Path) -> SmallBox:
    return await small_box(tmp_path / "old")


def test_a_blank_box_becomes_the_box_that_was(box: SmallBox, tmp_path: Path) -> None:
    made = box.backup(tmp_path / "b.weir", packages=True)
    assert (made.instances, made.lacks, made.schema) == (1, [], HEAD)
    done = back(tmp_path / "b.weir", tmp_path / "new")
    assert done.instances == ["plant"] and done.kept == ""
    new = Home(tmp_path / "new")
    before = tree(box.files)
    for path in ("launcher/away/grant.json", "placement.json"):  # of that run, on that box
        del before[path]
    assert {**tree(new.instances / box.instance), "launcher": "700", "launcher/away": "700"} == {
        **before,
        "launcher": "700",
        "launcher/away": "700",
    }
    assert tree(new.tls) == tree(box.home.tls)
    assert (new.root / "config.toml").read_text() == (box.home.root / "config.toml").read_text()
    secrets = open_box(new.state / "box.key", database=new.database)
    with offline.transaction(new.database) as tx:
        (row,) = instances.every(tx)
        sealed = instances.sealed_secret(tx, row.id)
        wanted = audit.Filter("platform", None)
        (entry,) = audit.page(tx, wanted, before=None, limit=1)
    assert (row.id, row.name, row.number) == (box.instance, "plant", 7)
    assert secrets.unseal(SEALED_FOR_CREDENTIALS, row.id, sealed or "") == SECRET
    assert entry.event == "platform.backup.restored"
    assert not (new.root / ".restore").exists() and not (new.state / "backups").exists()


def test_modules_stay_out_unless_asked_for(box: SmallBox, tmp_path: Path) -> None:
    box.backup(tmp_path / "b.weir")
    back(tmp_path / "b.weir", tmp_path / "new")
    restored = Home(tmp_path / "new").instances / box.instance
    assert (restored / "package.json").exists() and not (restored / "node_modules").exists()


def test_a_backup_opens_with_the_tools_that_it_names(box: SmallBox, tmp_path: Path) -> None:
    """As README.txt in it says: tar, age, tar."""
    box.backup(tmp_path / "b.weir")
    with tarfile.open(tmp_path / "b.weir") as outside:
        parts = {member.name: outside.extractfile(member).read() for member in outside}  # type: ignore[union-attr]
    assert list(parts) == ["README.txt", "backup.json", "key.age", "content.tar.gz.age"]
    assert b"plant" not in parts["backup.json"] and b"tar xf" in parts["README.txt"]
    secret = pyrage.passphrase.decrypt(parts["key.age"], PASSPHRASE).decode().strip()
    plain = pyrage.decrypt(parts["content.tar.gz.age"], [pyrage.x25519.Identity.from_str(secret)])
    (tmp_path / "plain.tar.gz").write_bytes(plain)
    with tarfile.open(tmp_path / "plain.tar.gz", "r:gz") as inside:
        assert {"state/weir.db", "state/box.key", "weir-backup.json", "manifest.json"} <= set(inside.getnames())


def test_a_key_opens_what_was_made_for_it_and_nothing_else(box: SmallBox, tmp_path: Path) -> None:
    ours, others = crypt.new_pair(), crypt.new_pair()
    box.backup(tmp_path / "b.weir", recipients=(ours.recipient,))
    new = Home(tmp_path / "new")
    new.root.mkdir()
    for secrets, code in (((), "key_needed"), ((others.secret,), "wrong_key")):
        with pytest.raises(Invalid) as refused:
            restore(new, Wanted(file=tmp_path / "b.weir", secrets=secrets), lambda step, fraction: None)
        assert refused.value.code == code and not new.database.exists()
    done = restore(new, Wanted(file=tmp_path / "b.weir", secrets=(ours.secret,)), lambda step, fraction: None)
    assert done.instances == ["plant"]


def test_a_wrong_passphrase_changes_nothing(box: SmallBox, tmp_path: Path) -> None:
    box.backup(tmp_path / "b.weir")
    new = Home(tmp_path / "new")
    new.root.mkdir()
    with pytest.raises(Invalid) as refused:
        restore(new, Wanted(file=tmp_path / "b.weir", passphrase="wrong horse"), lambda step, fraction: None)
    assert refused.value.code == "wrong_passphrase"
    assert list(new.root.iterdir()) == []


def test_damage_anywhere_is_found_and_changes_nothing(box: SmallBox, tmp_path: Path) -> None:
    """A flipped byte, and an end that is missing because a copy broke off."""
    box.backup(tmp_path / "b.weir")
    whole = (tmp_path / "b.weir").read_bytes()
    start = container.opened(tmp_path / "b.weir").offset
    with tarfile.open(tmp_path / "b.weir") as outer:
        last = outer.getmembers()[-1]
    end = last.offset_data + last.size  # zeros follow, to whole blocks: nothing is in them
    bad = tmp_path / "bad.weir"
    for at in range(start, end, 997):
        bad.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        _refused(bad, tmp_path / "new")
    for length in (*range(1, end, 2003), 0):
        bad.write_bytes(whole[:length])
        _refused(bad, tmp_path / "new")


def _refused(file: Path, home: Path) -> None:
    with pytest.raises(Invalid) as error:
        back(file, home)
    assert error.value.code in ("backup_damaged", "no_backup", "wrong_passphrase"), error.value
    assert [path.name for path in home.iterdir() if path.name != ".restore"] == []
    assert not recover(home) and list(home.iterdir()) == []


def test_a_backup_of_a_newer_weir_is_refused(box: SmallBox, tmp_path: Path) -> None:
    box.backup(tmp_path / "b.weir")
    newer = About(container.FORMAT + 1, "99.0", "2030-01-01T00:00:00Z", [], False)
    with (tmp_path / "n.weir").open("wb") as file, container.writing(file, newer, None) as target:
        target.write(b"something")
    _newer(tmp_path / "n.weir", tmp_path / "new")
    with closing(sqlite3.connect(box.home.database)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    box.backup(tmp_path / "s.weir")
    _newer(tmp_path / "s.weir", tmp_path / "new")


def _newer(file: Path, home: Path) -> None:
    with pytest.raises(Invalid) as refused:
        back(file, home)
    assert refused.value.code == "backup_newer" and not Home(home).database.exists()


async def test_a_backup_of_an_older_weir_is_brought_up_to_date(tmp_path: Path) -> None:
    """Its database has an older schema, and only its own tables."""
    old = Home(tmp_path / "old")
    old.state.mkdir(parents=True, mode=0o700)
    open_box(old.state / "box.key", database=old.database)
    old.database.touch(0o600)
    alembic = Alembic()
    alembic.set_main_option("script_location", str(Path(migrations.__file__).parent))
    alembic.attributes["database"] = old.database
    command.upgrade(alembic, "0005")
    job = Create(home=str(old.root), out=str(tmp_path / "b.weir"), madeAt="2025-01-01T00:00:00Z", passphrase=PASSPHRASE)
    assert create(job, lambda step, fraction: None).schema == "0005"
    back(tmp_path / "b.weir", tmp_path / "new")
    assert offline.schema(tmp_path / "new" / "state" / "weir.db") == HEAD


async def test_a_box_with_instances_is_replaced_only_when_that_is_said(box: SmallBox, tmp_path: Path) -> None:
    box.backup(tmp_path / "b.weir")
    other = await small_box(tmp_path / "other")
    with pytest.raises(Conflict) as refused:
        back(tmp_path / "b.weir", other.home.root)
    assert refused.value.code == "box_in_use" and "--replace" in refused.value.hint
    assert other.files.exists()
    done = back(tmp_path / "b.weir", other.home.root, replace=True)
    assert (Path(done.kept) / "instances" / other.instance / "package.json").exists()
    assert (other.home.instances / box.instance).exists() and not other.files.exists()


def test_a_box_as_it_was_born_is_blank(tmp_path: Path) -> None:
    refuse_used(Home(tmp_path))


@AS_ROOT
def test_a_full_disk_leaves_box_and_folder_as_they_were(box: SmallBox, tmp_path: Path) -> None:
    box.backup(tmp_path / "b.weir", packages=True)
    (box.files / "data" / "large").write_bytes(os.urandom(10_000_000))
    with tmpfs(tmp_path / "disk", size="4m") as disk:
        with pytest.raises(WeirError) as refused:
            box.backup(disk / "b.weir")
        assert refused.value.code == "disk_full" and list(disk.glob("*weir*")) == []
    box.backup(tmp_path / "b.weir")
    with tmpfs(tmp_path / "disk2", size="4m") as disk:
        with pytest.raises(WeirError) as refused:
            back(tmp_path / "b.weir", disk / "new")
        assert refused.value.code == "disk_full" and not Home(disk / "new").database.exists()


@pytest.mark.parametrize("done", range(5))
def test_a_power_cut_in_the_swap_is_made_good(tmp_path: Path, done: int) -> None:
    """The steps of two moves are carried out as far as `done`; the rest is for whoever comes next."""
    moves = _two_moves(tmp_path)
    steps = [(m.target, m.old) if old else (m.new, m.target) for m in moves for old in (True, False)]
    journal = tmp_path / ".restore" / "journal.json"
    _write_journal(tmp_path, moves)
    for source, target in steps[:done]:
        Path(source).rename(target)
    assert journal.exists() and recover(tmp_path)
    assert {name: (tmp_path / name / "is").read_text() for name in ("a", "b")} == {"a": "new", "b": "new"}
    assert (tmp_path / "old" / "a" / "is").read_text() == "old" and not (tmp_path / ".restore").exists()


def test_a_power_cut_before_the_swap_leaves_the_old(tmp_path: Path) -> None:
    _two_moves(tmp_path)
    assert not recover(tmp_path)
    assert (tmp_path / "a" / "is").read_text() == "old" and not (tmp_path / ".restore").exists()


def test_a_whole_swap(tmp_path: Path) -> None:
    swap(tmp_path, _two_moves(tmp_path), drop=[])
    assert (tmp_path / "b" / "is").read_text() == "new"


def _two_moves(root: Path) -> list[Move]:
    begun = staging(root)
    (root / "old").mkdir()
    for name in ("a", "b"):
        for where, says in ((root / name, "old"), (begun / name, "new")):
            where.mkdir()
            (where / "is").write_text(says)
    return [Move(str(begun / name), str(root / name), str(root / "old" / name)) for name in ("a", "b")]


def _write_journal(root: Path, moves: list[Move]) -> None:
    import msgspec

    from appliance.system.swap import Journal

    (root / ".restore" / "journal.json").write_bytes(msgspec.json.encode(Journal(moves, [])))


async def test_files_that_wait_for_a_launcher_are_in_the_next_backup(box: SmallBox, tmp_path: Path) -> None:
    (box.home.root / "config.toml").write_text('placer = "units"\n')
    box.backup(tmp_path / "b.weir")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "config.toml").write_text('placer = "units"\n')
    back(tmp_path / "b.weir", tmp_path / "new")
    new = Home(tmp_path / "new")
    archive = new.state / "handed" / f"{box.instance}.tar"
    assert archive.stat().st_mode & 0o777 == 0o600 and list(new.instances.iterdir()) == []
    job = Create(
        home=str(new.root),
        out=str(tmp_path / "c.weir"),
        madeAt="2026-11-24T12:00:00.000Z",
        passphrase=PASSPHRASE,
        sources=[InstanceSource(box.instance, archive=str(archive))],
    )
    assert create(job, lambda step, fraction: None).lacks == []
