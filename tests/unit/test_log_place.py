"""Where an instance's console log lies: what the configuration says reaches its launcher."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

import launcher.unit
from appliance.config import Config, Home, LauncherProgram
from appliance.placing import LOGS, launcher_program
from launcher.config import parse
from launcher.unit import arguments
from tests.contract.rig import spec_of


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start in a unit replaces all of it."""
    monkeypatch.setattr("os.environ", {})


def started(directory: Path, argv: Sequence[str], env: Mapping[str, str]) -> str:
    """What the launcher of such a record takes for the place of its log."""
    record = directory / "launch.json"
    record.write_text(json.dumps({"argv": argv, "env": env, "boot_socket": "/b"}))
    return parse(arguments(["--unit", str(record)])).logs


@pytest.mark.parametrize(("wanted", "given"), [("memory", LOGS), ("disk", "")])
def test_the_configuration_reaches_the_launcher(tmp_path: Path, wanted: str, given: str) -> None:
    config = msgspec.convert({"placer": "units", "launcher": {"logs": wanted}}, Config)
    start = launcher_program(Home(tmp_path), config).start(spec_of(), tmp_path, "secret", 3)
    assert started(tmp_path, start.argv, start.env) == given
    assert "--logs" not in start.argv  # a launcher of before, after a way back, would refuse it


def test_on_a_box_of_a_checkout_there_is_nothing_to_choose(tmp_path: Path) -> None:
    start = launcher_program(Home(tmp_path), Config()).start(spec_of(), tmp_path, "secret", 3)
    assert parse(start.argv[4:]).logs == "" and "WEIR_LOGS" not in start.env


def test_it_is_memory_where_nobody_says_otherwise() -> None:
    assert LauncherProgram().logs == "memory"


def test_both_sides_mean_the_directory_that_the_unit_has() -> None:
    unit = (Path(__file__).parents[2] / "systemd" / "weir-launcher@.service").read_text()
    assert f"TemporaryFileSystem={LOGS}:" in unit and str(launcher.unit.LOGS) == LOGS


def test_a_start_that_was_written_down_before_there_was_a_choice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher.unit, "LOGS", tmp_path / "log")
    config = msgspec.convert({"placer": "units"}, Config)
    argv = launcher_program(Home(tmp_path), config).start(spec_of(), tmp_path, "secret", 3).argv
    assert started(tmp_path, argv, {}) == ""  # a unit of before, which has no such directory
    (tmp_path / "log").mkdir()
    assert started(tmp_path, argv, {}) == str(tmp_path / "log")
    assert started(tmp_path, argv, {"WEIR_LOGS": ""}) == ""
