"""Limits that systemd keeps of instances that are gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.upgrade.leftovers import Leftovers

GONE, HAS_FILES, PLACED, NOTED = (letter * 26 for letter in "abcd")


@pytest.fixture
def box(tmp_path: Path) -> Path:
    for name in (GONE, HAS_FILES, PLACED, NOTED):
        drop_ins = tmp_path / "control" / f"weir-launcher@{name}.service.d"
        drop_ins.mkdir(parents=True)
        (drop_ins / "50-MemoryMax.conf").write_text("[Service]\nMemoryMax=1\n")
    (tmp_path / "control" / "weir-launcher@..service.d").mkdir()
    (tmp_path / "control" / "ssh.service.d").mkdir()
    (tmp_path / "data" / HAS_FILES).mkdir(parents=True)
    (tmp_path / "launch").mkdir()
    (tmp_path / "launch" / f"{PLACED}.json").touch()
    (tmp_path / "launch" / f"{NOTED}.set").touch()
    return tmp_path


def tidy(box: Path) -> list[str]:
    return Leftovers(box / "control", box / "data", box / "launch").tidy()


def test_only_those_of_no_instance_are_removed(box: Path) -> None:
    assert tidy(box) == [GONE]
    assert tidy(box) == []
    assert len(list((box / "control").iterdir())) == 5


def test_a_disk_that_is_not_there_removes_nothing(box: Path) -> None:
    (box / "launch").rename(box / "elsewhere")
    assert tidy(box) == []


def test_a_box_that_never_set_any_is_tidy(tmp_path: Path) -> None:
    assert tidy(tmp_path) == []
