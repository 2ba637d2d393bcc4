"""Backups of a running box: made by a real process, listed, retired, ended, and told of when they fail."""

# ruff: noqa: ASYNC240 - files of a test, small and local

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from appliance.backup import crypt
from appliance.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable
from appliance.schema.backups import BackupWork, ChangeKey, ChangeSchedule, CreateBackup, OpenBackup
from appliance.services.backup_places import Places
from appliance.services.backup_sources import backups_of
from appliance.services.backups import BackupsOfBox
from appliance.services.health.backups import BackupsCheck
from tests.service_rig import Rig, service_rig

PASSPHRASE = "correct horse battery"


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with service_rig(tmp_path / "h") as rig:
        yield rig


@pytest.fixture
async def backups(rig: Rig) -> AsyncIterator[BackupsOfBox]:
    made = backups_of(
        rig.context,
        rig.audit,
        conditions=rig.conditions,
        instances=rig.instances,
        up=lambda instance_id: False,
        secret=lambda instance_id, generation: "",
    )
    yield made
    await made.close()


async def made(backups: BackupsOfBox, rig: Rig, **fields: object) -> BackupWork:
    await backups.create(rig.admin, CreateBackup(**fields))  # type: ignore[arg-type]
    return await backups.work(30)


async def test_one_is_made_and_listed_and_removed_with_its_file(rig: Rig, backups: BackupsOfBox) -> None:
    await rig.create("plant")
    work = await made(backups, rig, passphrase=PASSPHRASE)
    assert (work.running, work.error) == (False, None)
    listed = await backups.list()
    (one,) = listed.backups
    assert one.passphrase and one.lacks == [] and Path(one.file).stat().st_size == one.size_bytes
    assert Path(one.file).parent.stat().st_mode & 0o777 == 0o700
    with pytest.raises(Conflict) as busy:
        await backups.verify(rig.admin, one.id, OpenBackup(passphrase="wrong horse"))
        await backups.create(rig.admin, CreateBackup(passphrase=PASSPHRASE))
    assert busy.value.code == "backup_busy"
    failed = await backups.work(30)
    assert failed.error == "The passphrase does not open this backup."
    assert (await backups.get(one.id)).verify_error is None, "a typing mistake is no damage"
    await backups.remove(rig.admin, one.id)
    assert not Path(one.file).exists() and (await backups.list()).count == 0


async def test_damage_is_remembered_and_told(rig: Rig, backups: BackupsOfBox) -> None:
    await made(backups, rig, passphrase=PASSPHRASE)
    (one,) = (await backups.list()).backups
    file = Path(one.file)
    file.write_bytes(file.read_bytes()[:-2000])
    await backups.verify(rig.admin, one.id, OpenBackup(passphrase=PASSPHRASE))
    assert "damaged" in str((await backups.work(30)).error)
    (trouble,) = await BackupsCheck(rig.context.store, rig.clock).look()
    assert trouble.key == "backup_broken"
    file.unlink()
    await backups.verify(rig.admin, one.id, OpenBackup(passphrase=PASSPHRASE))
    assert "is not there" in str((await backups.work(30)).error)


async def test_the_schedule_makes_them_and_keeps_as_many_as_wanted(rig: Rig, backups: BackupsOfBox) -> None:
    with pytest.raises(Invalid) as refused:
        await backups.change_schedule(rig.admin, ChangeSchedule(every="day"))
    assert refused.value.code == "no_key"
    key = await backups.change_key(rig.admin, ChangeKey())
    assert key.secret and crypt.recipient_of(key.secret) == key.recipient
    await backups.change_schedule(rig.admin, ChangeSchedule(every="day", keep=2))
    for _ in range(3):
        await backups.make_due()
        assert (await backups.work(30)).error is None
        await backups.make_due()  # not twice
        rig.clock.forward(days=1)
    listed = (await backups.list()).backups
    assert len(listed) == 2 and all(each.recipients == [key.recipient] for each in listed)
    assert sorted(str(path) for path in Path(listed[0].file).parent.glob("*.weir")) == sorted(b.file for b in listed)


async def test_a_clock_that_was_years_ahead_costs_no_backup(rig: Rig, backups: BackupsOfBox) -> None:
    """Those that it dated neither push out the newest, nor have one made every minute."""
    await backups.change_key(rig.admin, ChangeKey())
    await backups.change_schedule(rig.admin, ChangeSchedule(every="day", keep=2))
    rig.clock.forward(days=5000)
    for _ in range(2):
        await backups.make_due()
        assert (await backups.work(30)).error is None
        rig.clock.forward(days=1)
    rig.clock.forward(days=-5002)
    await backups.make_due()
    newest = (await backups.work(30)).id
    listed = (await backups.list()).backups
    assert len(listed) == 2 and listed[0].id == newest and Path(listed[0].file).exists()
    await backups.make_due()
    assert (await backups.work(30)).id == newest, "none is due"


async def test_a_clock_before_its_time_makes_none(rig: Rig, backups: BackupsOfBox) -> None:
    await backups.change_key(rig.admin, ChangeKey())
    await backups.change_schedule(rig.admin, ChangeSchedule(every="hour"))
    rig.clock.now = rig.clock.now.replace(year=1970)
    await backups.make_due()
    with pytest.raises(NotFound):
        await backups.work()


async def test_one_that_fails_is_told_until_one_succeeds(rig: Rig, backups: BackupsOfBox, tmp_path: Path) -> None:
    await backups.change_key(rig.admin, ChangeKey())
    (tmp_path / "stick").mkdir()
    await backups.change_schedule(rig.admin, ChangeSchedule(every="day", target=str(tmp_path / "stick")))
    (tmp_path / "stick").rmdir()
    await backups.make_due()
    (problem,) = rig.conditions.current()
    assert problem.key == "backup_failed" and "is not there" in problem.cause
    (tmp_path / "stick").mkdir()
    assert (await made(backups, rig)).error is None
    assert list(rig.conditions.current()) == []
    rig.clock.forward(days=4)
    check = BackupsCheck(rig.context.store, rig.clock)
    (trouble,) = await check.look()
    assert trouble.key == "backup_overdue"


async def test_one_that_is_ended_leaves_nothing(rig: Rig, backups: BackupsOfBox) -> None:
    instance = await rig.create("plant")
    files = rig.context.home.instances / instance.id
    files.mkdir(parents=True)
    with (files / "large").open("wb") as large:
        large.truncate(2_000_000_000)
    work = await backups.create(rig.admin, CreateBackup(passphrase=PASSPHRASE))
    assert work.running
    await backups.cancel(rig.admin)
    assert (await backups.work()).error == "it was ended"
    home = rig.context.home
    assert list((home.root / "backups").iterdir()) == []
    assert list((home.state / "work").glob("*")) == []
    with pytest.raises(NotFound):
        await backups.cancel(rig.admin)


async def test_a_token_does_not_change_the_key(rig: Rig, backups: BackupsOfBox) -> None:
    stolen = msgspec.structs.replace(rig.admin, source="api")
    with pytest.raises(Forbidden):
        await backups.change_key(stolen, ChangeKey())
    with pytest.raises(Invalid):
        await backups.change_key(rig.admin, ChangeKey(recipient="age1none"))


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("relative", "invalid_request"),
        ("/nowhere/at/all", "not_writable"),
        ("mount:{tmp}", "not_mounted"),
        ("{home}/state", "invalid_request"),
        ("{home}", "invalid_request"),
        ("rclone:no-remote", "invalid_request"),
        ("rclone:-v:x", "invalid_request"),
    ],
)
def test_places_that_are_none(tmp_path: Path, target: str, code: str) -> None:
    from appliance.config import Home

    home = Home(tmp_path / "h")
    home.state.mkdir(parents=True)
    with pytest.raises((Invalid, Unavailable)) as refused:
        Places(home).checked(target.format(tmp=tmp_path, home=home.root))
    assert refused.value.code == code and refused.value.hint
