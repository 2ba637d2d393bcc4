"""Which launcher a box uses: the configuration, what the doctor says of it, and what is said of open ports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from appliance import config as configuration
from appliance.__main__ import main
from appliance.config import Config, Home, LauncherProgram, Listen
from appliance.doctor import examine
from appliance.drivers.program import Command
from appliance.drivers.published import Published
from appliance.errors import Invalid
from appliance.events import Bus
from appliance.placing import launcher_program
from appliance.services.conditions import Conditions
from appliance.services.launcher_guard import KEY, LauncherGuard, guarded_ports
from appliance.system import netguard, published
from appliance.system.netguard import Ports
from tests.stores import Clock


def box(home: Path, launcher: str = "") -> Home:
    (home / "state").mkdir(parents=True)
    (home / "config.toml").write_text(launcher)
    return Home(home)


def test_the_configuration_chooses_the_program(home: Path) -> None:
    own = launcher_program(Home(home), Config())
    assert isinstance(own, Command) and "-I" in own.argv
    config = configuration.load(box(home, '[launcher]\ncommand = ["node", "/x/index.js"]\n').root)
    other = launcher_program(Home(home), config)
    assert isinstance(other, Published) and other.command == ("node", "/x/index.js")
    assert own.name != other.name, "else a living launcher of the other kind would be adopted"


def test_a_misspelt_firewall_is_an_error(home: Path) -> None:
    with pytest.raises(Invalid, match="firewall"):
        configuration.load(box(home, '[launcher]\nfirewall = "none"\n').root)


def test_another_launcher_in_units_is_refused_before_anything_starts(home: Path) -> None:
    """Else each instance would say at each of its starts that it can't be given its token."""
    both = 'placer = "units"\n[launcher]\ncommand = ["node", "/x/index.js"]\n'
    with pytest.raises(Invalid, match=r"launcher\.command needs the placer 'child'") as refused:
        configuration.load(box(home, both).root)
    assert "Take launcher.command out" in refused.value.hint
    assert configuration.load(box(home / "own", 'placer = "units"\n').root).placer == "units"


def test_the_doctor_names_a_launcher_that_is_not_there(home: Path) -> None:
    found = examine(box(home, '[launcher]\ncommand = ["node", "/nowhere/index.js"]\n'))
    (told,) = [each for each in found if each.name == "launcher"]
    assert not told.ok and "/nowhere/index.js" in told.detail and "weir launcher install" in told.next_step


def test_the_doctor_says_what_another_launcher_costs(home: Path) -> None:
    found = examine(box(home, f'[launcher]\ncommand = ["node", "{__file__}"]\n'))
    (told,) = [each for each in found if each.name == "launcher"]
    assert told.ok and "any program of this box" in told.detail
    assert not [each for each in examine(box(home / "own")) if each.name == "launcher"]


def test_install_is_quick_and_says_what_to_write_when_it_is_there(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = published.command(Home(home))
    Path(command[1]).parent.mkdir(parents=True)
    Path(command[1]).touch()
    assert main(["launcher", "install", "--home", str(home), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"version": "2.29.1", "command": command}
    assert main(["launcher", "install", "--home", str(home)]) == 0
    assert f"command = {json.dumps(command)}" in capsys.readouterr().out


def test_the_lock_pins_every_package_and_names_no_address() -> None:
    packages = json.loads((published.DEFINITION / "package-lock.json").read_bytes())["packages"]
    fetched = [package for name, package in packages.items() if name]
    assert len(fetched) > 300 and all(package.get("integrity") for package in fetched)
    assert not any("resolved" in package for package in fetched)


def test_a_thousand_instances_are_guarded_and_no_port_beyond_the_last() -> None:
    assert guarded_ports(Listen()) == [Ports(12080, 13079), Ports(13080, 14079)]
    assert guarded_ports(Listen(launcher_base=65000))[1] == Ports(65000, 65535)


async def test_ports_that_stay_open_are_a_problem_until_somebody_closes_them(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(home))
    monkeypatch.setattr(netguard, "SBIN", str(home))  # no nft here
    conditions, where = Conditions(Clock(), Bus()), box(home)
    open_ = Config(launcher=LauncherProgram(command=["node", "x"]))
    await LauncherGuard(where, open_, conditions).look()
    (problem,) = conditions.current()
    assert problem.key == KEY and "nft is not installed" in problem.evidence and "13080-14079" in problem.next_step
    closed = Config(launcher=LauncherProgram(command=["node", "x"], firewall="own"))
    await LauncherGuard(where, closed, conditions).look()
    assert conditions.current() == []


async def test_a_box_with_its_own_launchers_never_asks_the_firewall(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(home))
    monkeypatch.setattr(netguard, "SBIN", str(home))
    conditions = Conditions(Clock(), Bus())
    await LauncherGuard(box(home), Config(), conditions).look()
    assert conditions.current() == [] and not (home / "state/launcher-guard").exists()
