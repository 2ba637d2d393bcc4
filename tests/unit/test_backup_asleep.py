"""Files of instances that do not run, under users of their own: who may bring them, and what comes."""

from __future__ import annotations

import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from appliance.backup.asleep import files_of
from appliance.backup.create import _files
from appliance.errors import Unavailable
from appliance.schema.backup_jobs import InstanceSource
from appliance.system.units import Systemctl
from launcher.pack import END
from tests.support import ROOT, free_port

NAME = "6vpd3wn75zdirjmuwzeuzajgom"


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """So short that the sockets in it have addresses."""
    with tempfile.TemporaryDirectory(prefix="weir-", dir="/tmp") as directory:
        yield Path(directory)


def systemd(tmp_path: Path, *started: str) -> Systemctl:
    """A `systemctl` that notes what it is asked and starts the unit's program, as nobody's unit."""
    script = tmp_path / "as"
    begun = "\n".join(f"{each} </dev/null >/dev/null 2>&1 &" for each in started)
    script.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/asked\ncase "$*" in *" start "*)\n{begun}\n:;; esac\n')
    script.chmod(0o755)
    return Systemctl((str(script),))


def offer(directory: Path, run: Path) -> str:
    return f"cd {ROOT} && {sys.executable} -m launcher.offer {directory} {run}/files-{NAME}.sock"


def names(tmp_path: Path, systemctl: Systemctl, *, packages: bool, units: Sequence[str | None] = (NAME,)) -> list[str]:
    """What came from the unit. `units`: which those are of whose processes come, one after the other."""
    those = iter(units)
    asked = files_of(
        NAME, tmp_path, packages=packages, systemctl=systemctl, unit_of=lambda pid, prefix: next(those), come_s=10
    )
    with asked as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
        return [member.name for member in tar]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    directory = tmp_path / "instance"
    (directory / "storage").mkdir(parents=True)
    (directory / "storage" / "counts.csv").write_text("1;2\n")
    (directory / "package.json").write_text("{}")
    (directory / "node_modules" / "x").mkdir(parents=True)
    return directory


@pytest.mark.parametrize("packages", [True, False])
def test_its_own_process_brings_them_whole(tmp_path: Path, files: Path, packages: bool) -> None:
    found = names(tmp_path, systemd(tmp_path, offer(files, tmp_path)), packages=packages)
    modules = ["node_modules", "node_modules/x"] if packages else []
    assert found == [*modules, "package.json", "storage", "storage/counts.csv", END]
    asked = (tmp_path / "asked").read_text().splitlines()
    assert [line.split()[-1] for line in asked] == [f"weir-files@{NAME}.service"] * 2
    assert " start " in asked[0] and " stop " in asked[1]
    assert list(tmp_path.glob("*.sock")) == [], "nobody can come later"


def test_a_stranger_who_knocks_first_is_sent_away(tmp_path: Path, files: Path) -> None:
    """A flow that wants to have other files in its neighbour's backup."""
    (tmp_path / "false").mkdir()
    (tmp_path / "false" / "planted").write_text("")
    stranger, own = offer(tmp_path / "false", tmp_path), f"sleep 0.5; {offer(files, tmp_path)}"
    found = names(tmp_path, systemd(tmp_path, stranger, f"({own})"), packages=False, units=(None, NAME))
    assert "planted" not in found and "storage/counts.csv" in found


def test_one_that_is_no_unit_is_believed_nothing(tmp_path: Path, files: Path) -> None:
    """By the kernel's own word on which unit a process is in."""
    systemctl = systemd(tmp_path, offer(files, tmp_path))
    with (
        pytest.raises(Unavailable, match=f"journalctl -u weir-files@{NAME}"),
        files_of(NAME, tmp_path, packages=False, systemctl=systemctl, come_s=1.5),
    ):
        pass


def test_a_refusal_of_systemd_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    script = tmp_path / "as"
    script.write_text("#!/bin/sh\necho 'Interactive authentication required.' >&2\nexit 1\n")
    script.chmod(0o755)
    with (
        pytest.raises(Unavailable, match="can't be started: Interactive"),
        files_of(NAME, tmp_path, packages=False, systemctl=Systemctl((str(script),))),
    ):
        pass
    assert list(tmp_path.glob("*.sock")) == []


def test_a_program_that_ends_half_way_brings_no_whole_archive(tmp_path: Path) -> None:
    """So that the backup says what it lacks (`appliance.backup.pack`)."""
    with pytest.raises(tarfile.ReadError):
        names(tmp_path, systemd(tmp_path, offer(tmp_path / "nowhere", tmp_path)), packages=False)


def test_one_that_was_suspended_since_we_were_told_of_its_launcher_is_asked_by_its_unit(tmp_path: Path) -> None:
    """There is no such unit here: that it is tried is all that can be seen."""
    source = InstanceSource("x", port=free_port(), secret="s", unit=NAME)
    with pytest.raises(Unavailable, match=f"weir-files@{NAME}"), _files(source, tmp_path, packages=False):
        pass
