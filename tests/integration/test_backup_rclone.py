"""Backups on another machine, by Debian's rclone: over SFTP to a server of its own here, and to a folder."""

# ruff: noqa: ASYNC240 - files of a test, small and local

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from appliance.backup.restore import Wanted, restore
from appliance.config import Home
from appliance.errors import Unavailable
from appliance.schema.backups import Backup, ChangeKey, ChangeSchedule, CreateBackup
from appliance.services.backup_places import UNDELIVERED, Places
from appliance.services.backup_sources import backups_of
from appliance.services.backups import BackupsOfBox
from tests.service_rig import Rig, service_rig
from tests.support import eventually, free_port

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(120),
    pytest.mark.skipif(shutil.which("rclone") is None, reason="needs Debian's rclone"),
]
PASSPHRASE = "correct horse battery"


def rclone(*words: str) -> str:
    """What it prints, without a configuration."""
    done = subprocess.run(["rclone", "--config", "", *words], capture_output=True, text=True, timeout=30, check=True)
    return done.stdout.strip()


def _host_key(file: str) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file], check=True, timeout=20)


class Far:
    """The machine that backups go to: an SFTP server with a password, which shows `root`."""

    def __init__(self, root: Path) -> None:
        self.root, self.port = root, free_port()
        self._process: asyncio.subprocess.Process | None = None
        root.mkdir()

    def remote(self, password: str = "right") -> str:
        """Its section of rclone.conf."""
        lines = ("type = sftp", "host = 127.0.0.1", f"port = {self.port}", "user = box")
        return "\n".join(("[far]", *lines, f"pass = {rclone('obscure', password)}", "shell_type = none", ""))

    async def start(self) -> None:
        serve = (
            "serve",
            "sftp",
            str(self.root),
            "--addr",
            f"127.0.0.1:{self.port}",
            "--user",
            "box",
            "--pass",
            "right",
        )
        key = ("--key", str(self.root.parent / "hostkey"))
        await asyncio.to_thread(_host_key, key[1])
        self._process = await asyncio.create_subprocess_exec(
            "rclone", "--config", "", *serve, *key, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        await eventually(self._answers, 15)

    async def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.close()
            return True
        return False

    async def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            self._process = None


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


@pytest.fixture
async def far(tmp_path: Path, rig: Rig) -> AsyncIterator[Far]:
    far = Far(tmp_path / "far")
    folder = f"[near]\ntype = alias\nremote = {tmp_path}/near\n"
    (rig.context.home.configuration / "rclone.conf").write_text(far.remote() + folder)
    (tmp_path / "near").mkdir()
    await far.start()
    try:
        yield far
    finally:
        await far.close()


async def made(backups: BackupsOfBox, rig: Rig, target: str) -> Backup:
    work = await backups.create(rig.admin, CreateBackup(passphrase=PASSPHRASE, target=target))
    done = await backups.work(60)
    assert done.error is None, done
    return await backups.get(work.id)


async def test_one_goes_to_another_machine_and_comes_back_as_a_box(
    rig: Rig, backups: BackupsOfBox, far: Far, tmp_path: Path
) -> None:
    instance = await rig.create("plant")
    files = rig.context.home.instances / instance.id
    files.mkdir(parents=True)
    (files / "counts.csv").write_text("1;2\n")
    one = await made(backups, rig, "rclone:far:boxes/plant")
    name = Path(one.file).name
    (there,) = (far.root / "boxes" / "plant").iterdir()
    assert (there.name, there.stat().st_size) == (name, one.size_bytes), "whole, under its own name, and nothing else"
    assert one.file == f"rclone:far:boxes/plant/{name}"
    assert list((rig.context.home.root / "backups").iterdir()) == [], "nothing of it stays here"

    places = Places(rig.context.home)
    copy = await places.fetch("rclone:far:boxes/plant", name)
    (tmp_path / "new").mkdir()
    done = restore(Home(tmp_path / "new"), Wanted(copy, passphrase=PASSPHRASE), lambda step, fraction: None)
    assert done.instances == ["plant"]
    assert (tmp_path / "new" / "instances" / instance.id / "counts.csv").read_text() == "1;2\n"
    places.release("rclone:far:boxes/plant", copy)
    assert not copy.exists()
    await backups.remove(rig.admin, one.id)
    assert list((far.root / "boxes" / "plant").iterdir()) == []
    await places.remove("rclone:far:boxes/plant", name)  # one that is gone is no error


async def test_a_machine_that_refuses_or_is_away_is_told_by_its_own_words(
    rig: Rig, backups: BackupsOfBox, far: Far
) -> None:
    conf = rig.context.home.configuration / "rclone.conf"
    good = conf.read_text()
    conf.write_text(far.remote("wrong"))
    await backups.create(rig.admin, CreateBackup(passphrase=PASSPHRASE, target="rclone:far:boxes"))
    failed = await backups.work(60)
    assert failed.error is not None and "unable to authenticate" in failed.error and "lsd" in str(failed.hint)
    kept = rig.context.home.root / "backups"
    assert [each.name for each in kept.iterdir()] == [UNDELIVERED], "it was made, and is not lost"
    conf.write_text(good)
    one = await made(backups, rig, "rclone:far:boxes")
    assert list(kept.iterdir()) == []
    await far.close()
    with pytest.raises(Unavailable, match="refused"):
        await backups.remove(rig.admin, one.id)
    assert (await backups.get(one.id)).id == one.id, "its file is still there"
    with pytest.raises(Unavailable, match="didn't find section in config file"):
        await Places(rig.context.home).fetch("rclone:nowhere:boxes", "x")


async def test_the_schedule_keeps_as_many_there_as_wanted(
    rig: Rig, backups: BackupsOfBox, far: Far, tmp_path: Path
) -> None:
    await backups.change_key(rig.admin, ChangeKey())
    await backups.change_schedule(rig.admin, ChangeSchedule(every="day", keep=1, target="rclone:near:"))
    for _ in range(2):
        await backups.make_due()
        done = await backups.work(60)
        assert done.error is None, msgspec.to_builtins(done)
        rig.clock.forward(days=1)
    (listed,) = (await backups.list()).backups
    assert [str(each) for each in (tmp_path / "near").iterdir()] == [f"{tmp_path}/near/{Path(listed.file).name}"]
