"""Parts of the upgrade that need no machine: releases, the note of an upgrade, the database there and back."""

from __future__ import annotations

import contextlib
import mmap
import os
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.config import Home
from appliance.errors import Invalid, NotFound, Unavailable
from appliance.store.migrate import ensure_schema
from appliance.store.schema_version import HEAD
from appliance.upgrade import database
from appliance.upgrade import switch as upgrade
from appliance.upgrade.bundle import make
from appliance.upgrade.releases import Journal, Releases
from appliance.upgrade.switch import Switch
from tests.support import ROOT


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


def test_the_release_that_works_is_known_before_anything_is_changed(tmp_path: Path) -> None:
    """Cut before the switch, the first upgrade ever too: the boot ends it by the program of `previous`."""
    first, second = release(tmp_path, "0.1.0-00000001"), release(tmp_path, "0.1.1-00000002")
    releases = Releases(tmp_path)
    releases.use(first)
    assert not releases.previous.exists()
    releases.begin(Journal(before=first.name, after=second.name, schema=HEAD, began_at=0.0))
    assert releases.previous.resolve() == first == releases.in_use()
    unit = (ROOT / "systemd/weir-upgrade.service").read_text()
    assert "readlink -e /opt/weir/previous || readlink -e /opt/weir/current" in unit


def test_one_of_all_that_change_releases_at_a_time(tmp_path: Path) -> None:
    """As `install.sh` does: flock on the same file, which the end of its process frees."""
    lock = tmp_path / "lock"
    releases = Releases(tmp_path, lock)
    other = subprocess.Popen(["flock", str(lock), "sh", "-c", "echo; read _"], stdin=-1, stdout=-1)
    assert other.stdin is not None and other.stdout is not None
    try:
        other.stdout.readline()
        with pytest.raises(Unavailable, match="another upgrade"), releases.alone(wait_s=0):
            pass
        other.stdin.close()
        with releases.alone(wait_s=30):
            assert subprocess.run(["flock", "-n", str(lock), "true"], check=False).returncode == 1
    finally:
        other.stdout.close()
        other.wait(30)
    with releases.alone(wait_s=0):
        pass
    with pytest.raises(Unavailable, match="can't be opened"), Releases(tmp_path, tmp_path / "no" / "lock").alone():
        pass


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
    restored = database.restore(home, HEAD, begun)
    assert restored is not None and restored[0] == copy and restored[1].whole
    assert database.schema(home) == HEAD
    assert database.rehearse(home) == HEAD, "it is whole"
    assert len(list(backups.glob("weir-failed-upgrade-*.db"))) == 1, "nothing is thrown away"
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


@pytest.fixture
def box(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Switch]:
    """An installed box's programs as scripts that write down what they were told; `setsid` is the database's."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in (("systemctl", 'echo "$@" >>"$0.said"'), ("setsid", "echo 'weir: no copy' >&2; exit 1")):
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    for each in (release(tmp_path, "0.1.0-00000001"), release(tmp_path, "0.1.1-00000002")):
        (each / "install.sh").write_text("exit 0\n")
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setattr(upgrade, "LOOK_S", 0.1)
    yield Switch(home, Releases(tmp_path), lambda _: None)


def interrupted(root: Path, in_use: str, *, age_s: float = 0, schema: str = "0001") -> Releases:
    releases = Releases(root)
    releases.use(releases.named(in_use))
    journal = Journal("0.1.0-00000001", "0.1.1-00000002", schema, time.time() - age_s, ("plant",))
    releases.begin(journal)
    return releases


@pytest.mark.parametrize("fails", ["setsid", "install.sh"])
def test_a_way_back_that_can_not_be_gone_leaves_no_box_that_is_stopped(box: Switch, tmp_path: Path, fails: str) -> None:
    releases = interrupted(tmp_path, "0.1.0-00000001")
    if fails == "install.sh":
        (tmp_path / "programs" / "setsid").write_text("#!/bin/sh\n")
        (tmp_path / "releases" / "0.1.0-00000001" / "install.sh").write_text("exit 1\n")
    with pytest.raises(Unavailable):
        box.resume()
    said = (tmp_path / "programs" / "systemctl.said").read_text().splitlines()
    assert [line.split()[1] for line in said] == ["stop", "start", "start"]
    assert said[-1].endswith(" weir.service")
    assert releases.begun() is not None, "the next boot tries again"


def test_a_port_that_is_taken_for_a_moment_leaves_no_box_that_is_closed(box: Switch, tmp_path: Path) -> None:
    """Seen at a boot: the sockets could not be opened at once, and the service was never started."""
    releases = interrupted(tmp_path, "0.1.0-00000001")
    (tmp_path / "programs" / "setsid").write_text("#!/bin/sh\n")
    once = 'test -e "$0.free" || { >"$0.free"; exit 1; }'
    taken = f'echo "$@" >>"$0.said"\ncase "$*" in *" start weir.socket"*) {once} ;; esac'
    (tmp_path / "programs" / "systemctl").write_text(f"#!/bin/sh\n{taken}\n")
    assert "is in use" in box.resume()
    said = [line.split()[1:] for line in (tmp_path / "programs" / "systemctl.said").read_text().splitlines()]
    assert [each[0] for each in said] == ["stop", "start", "reset-failed", "start", "start"]
    assert said[-1] == ["start", "weir.service"] and releases.begun() is None


def test_nobody_s_work_of_weeks_is_taken_back_with_an_upgrade_that_was_never_judged(
    box: Switch, tmp_path: Path
) -> None:
    """Its process was killed long ago; the box has served since, and now does not hold at a boot."""
    (tmp_path / "programs" / "setsid").write_text("#!/bin/sh\necho 0002\n")
    releases = interrupted(tmp_path, "0.1.1-00000002", age_s=20 * 86400)
    assert "stays in use" in box.resume()
    assert releases.begun() is None and releases.named("0.1.1-00000002") == releases.in_use()
    assert " stop " not in (tmp_path / "programs" / "systemctl.said").read_text()


def test_an_upgrade_that_was_killed_comes_to_its_end_before_the_next_begins(box: Switch, tmp_path: Path) -> None:
    (tmp_path / "programs" / "setsid").write_text('#!/bin/sh\ncase "$*" in *rehearse*) echo full >&2; exit 1 ;; esac\n')
    releases = interrupted(tmp_path, "0.1.1-00000002")  # in use, and nobody has judged it
    with pytest.raises(Unavailable, match="rehearse"):
        box.to(release(tmp_path, "0.1.2-00000003"))
    assert releases.begun() is None and releases.in_use() == releases.named("0.1.0-00000001")


def test_what_the_way_back_has_brought_need_not_be_switched_to(box: Switch, tmp_path: Path) -> None:
    (tmp_path / "programs" / "setsid").write_text("#!/bin/sh\n")
    releases = interrupted(tmp_path, "0.1.1-00000002")
    box.to(releases.named("0.1.0-00000001"))
    assert releases.begun() is None and releases.in_use() == releases.named("0.1.0-00000001")
    with pytest.raises(Unavailable, match="nothing to switch from"):
        box.to(releases.named("0.1.0-00000001"))


def test_an_old_upgrade_goes_back_where_that_loses_nothing(box: Switch, tmp_path: Path) -> None:
    (tmp_path / "programs" / "setsid").write_text('#!/bin/sh\ncase "$*" in *" schema") echo 0001 ;; esac\n')
    releases = interrupted(tmp_path, "0.1.1-00000002", age_s=20 * 86400)
    assert "0.1.0-00000001 is in use again" in box.resume()
    assert releases.in_use() == releases.named("0.1.0-00000001")


@pytest.mark.parametrize(("state", "holds"), [("stopped", True), ("suspended", True), ("crashed", False)])
def test_who_was_stopped_on_purpose_meanwhile_is_no_reason_to_go_back(
    box: Switch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, holds: bool
) -> None:
    releases = interrupted(tmp_path, "0.1.1-00000002")
    journal = releases.begun()
    assert journal is not None
    status = {"instances": [{"id": "plant", "state": state}], "problems": []}
    monkeypatch.setattr(upgrade.boxapi, "get", lambda *_: status)
    monkeypatch.setattr(upgrade, "_main_pid", lambda _: 1)
    monkeypatch.setattr(upgrade, "_program", lambda _: f"{releases.in_use()}/bin/python")
    monkeypatch.setattr(upgrade, "HOLD_S", 0.0)
    if holds:
        box.judge(journal)
    else:
        with pytest.raises(upgrade.Failed, match="do not run now: plant"):
            box.judge(journal)


def test_instances_have_more_time_at_a_boot(box: Switch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some wait two minutes for others by themselves; the release is no reason to put an old database back."""
    releases = interrupted(tmp_path, "0.1.1-00000002")
    states = iter(["starting", "starting", "running"])
    monkeypatch.setattr(
        upgrade.boxapi, "get", lambda *_: {"instances": [{"id": "plant", "state": next(states)}], "problems": []}
    )
    monkeypatch.setattr(upgrade, "_main_pid", lambda _: 1)
    monkeypatch.setattr(upgrade, "_program", lambda _: f"{releases.in_use()}/bin/python")
    monkeypatch.setattr(upgrade, "HOLD_S", 0.0)
    assert "holds" in box.resume() and releases.begun() is None
