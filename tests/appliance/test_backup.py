"""A backup of an installed box comes back on another one, files of sandboxed instances included, whether they run or
not; a power cut meanwhile leaves the old box or the new one."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.drivers.launch_records import unit_name
from tests.appliance.machine import status, wait_running
from tests.system.fresh_box import FreshBox

pytestmark = [pytest.mark.appliance, pytest.mark.timeout(900)]
LINES = {"appendNewline": True, "wires": [[]]}
FLOWS = [
    {"id": "t1", "type": "tab", "label": "line"},
    {"id": "n1", "type": "inject", "z": "t1", "once": True, "onceDelay": 0.1, "payload": "ran", "wires": [["n2"]]},
    {"id": "n2", "type": "file", "z": "t1", "filename": "ran.txt", "overwriteFile": "false", **LINES},
]
THREE = {"first", "plant", "asleep"}
OPEN = "--key-file /root/key --yes"


@pytest.fixture
def blank(kept_disk: str) -> Iterator[FreshBox]:
    """A second machine, as it is after the installation."""
    machine = FreshBox("backup2")
    machine.tool("down", check=False)
    machine.tool("up", "--from", kept_disk, timeout_s=300)
    try:
        wait_running(machine, "first")
        yield machine
    finally:
        machine.tool("down", check=False)


def test_backup_blank_box_restore(installed: FreshBox, blank: FreshBox, tmp_path: Path) -> None:
    file, before = _backed_up(installed, tmp_path)
    for name in ("key", "box.weir"):
        blank.tool("push", str(tmp_path / name), "/root/")
    blank.run("echo something > /root/other.txt")
    said = blank.run(f"weir backup restore /root/box.weir {OPEN} 2>&1", timeout_s=200)
    assert "first, plant, asleep" in said, said
    wait_running(blank, "plant")
    after = _shown(blank, "plant")
    assert {key: after[key] for key in ("id", "name", "ports")} == {key: before[key] for key in ("id", "name", "ports")}
    # What the file holds was written on the other machine, and once more by the flow that starts here.
    assert _ran(blank, "plant") == _ran(installed, "plant") + 1
    _one_that_slept_wakes_with_its_files(blank, installed)
    assert blank.run("ls /var/lib/weir/state/handed").strip() == "", "the launchers have taken their files"
    assert status(blank)["problems"] == []
    owners = blank.run("stat -c %U /var/lib/weir/state/weir.db /var/lib/weir/state/box.key /var/lib/weir/tls").split()
    assert set(owners) == {"_weir"}
    _power_cut_while_it_is_put_back(blank)
    assert installed.run(f"test -s {file} && echo there").strip() == "there"


def _backed_up(machine: FreshBox, tmp_path: Path) -> tuple[str, dict[str, object]]:
    (tmp_path / "flows.json").write_text(json.dumps(FLOWS))
    machine.tool("push", str(tmp_path / "flows.json"), "/root/")
    machine.run("weir instance create plant --flows /root/flows.json --wait")
    count = _ran(machine, "plant")
    machine.run("weir instance create asleep --flows /root/flows.json --wait")
    assert _ran(machine, "asleep") == 1
    machine.run("weir instance suspend asleep --wait")
    machine.run("weir backup key > /root/key")
    made = json.loads(machine.run("weir backup create --packages on --json"))
    assert made["lacks"] == [] and made["instances"] == 3
    assert (
        machine.run("systemctl list-units --all --plain --no-legend 'weir-files@*'; ls /run/weir/files-* || true") == ""
    )
    machine.run("weir backup verify --key-file /root/key", timeout_s=120)
    assert _ran(machine, "plant") == count, "proving the backup let its flows run"
    machine.run("weir backup schedule --every day --keep 3 && systemctl start weir-backup.service")
    assert "weir-backup.timer" in machine.run("systemctl list-timers --no-pager")
    machine.tool("pull", made["file"], str(tmp_path / "box.weir"))
    machine.tool("pull", "/root/key", str(tmp_path / "key"))
    return str(made["file"]), _shown(machine, "plant")


def _power_cut_while_it_is_put_back(machine: FreshBox) -> None:
    """The old box has an instance that the backup does not know, so that it is known which of both there is."""
    machine.run("weir instance create later --wait", timeout_s=120)
    machine.run("systemd-run --collect sh -c 'weir backup restore /root/box.weir --key-file /root/key --yes --replace'")
    time.sleep(2.5)  # not a wait for something: the moment of the cut
    machine.tool("kill")
    machine.tool("boot")
    wait_running(machine, "plant")
    names = {each["name"] for each in status(machine)["instances"]}
    assert names in (THREE | {"later"}, THREE)
    assert machine.run("ls -d /var/lib/weir/.restore 2>/dev/null || true").strip() == ""
    said = machine.run(f"weir backup restore /root/box.weir {OPEN} --replace 2>&1", timeout_s=200)
    assert "kept" in said or "before" in said
    wait_running(machine, "plant")
    assert {each["name"] for each in status(machine)["instances"]} == THREE


def _the_unit_that_read_them_is_gone_and_was_confined(machine: FreshBox) -> None:
    assert (
        machine.run("systemctl list-units --all --plain --no-legend 'weir-files@*'; ls /run/weir/files-* || true") == ""
    )
    unit = f"weir-files@{unit_name(str(_shown(machine, 'asleep')['id']))}.service"
    rating = re.search(r": (\d+\.\d)", machine.run(f"systemd-analyze security --no-pager {unit} | tail -n 1"))
    assert rating is not None and float(rating[1]) <= 1.0
    become = "setpriv --reuid=_weir --regid=_weir --init-groups systemctl --no-ask-password"
    for refused in (
        "start weir-files@x.service",
        f"kill {unit}",
        f"set-property {unit} MemoryMax=1G",
        f"clean --what=state {unit}",
        f"restart {unit}",
    ):
        assert machine.run(f"{become} {refused} >/dev/null 2>&1 && echo done || true") == "", refused


def _one_that_slept_wakes_with_its_files(blank: FreshBox, installed: FreshBox) -> None:
    asleep = next(each for each in status(blank)["instances"] if each["name"] == "asleep")
    assert asleep["state"] == "suspended"
    again = json.loads(blank.run("weir backup create --json 2>/dev/null", timeout_s=120))
    assert again["lacks"] == [], "files that wait for their launcher are in a backup as well"
    blank.run("weir instance start asleep --wait", timeout_s=120)
    assert _ran(blank, "asleep", 2) == _ran(installed, "asleep") + 1


def _shown(machine: FreshBox, name: str) -> dict[str, object]:
    return dict(json.loads(machine.run(f"weir instance show {name} --json")))


def _ran(machine: FreshBox, name: str, least: int = 1) -> int:
    """How often its flow has run, by the file that it writes into its own directory."""
    directory = f"/var/lib/private/weir-instances/{unit_name(str(_shown(machine, name)['id']))}"
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        said = machine.run(f"cat {directory}/storage/ran.txt | wc -l", check=False).strip()
        if said and int(said) >= least:
            return int(said)
        time.sleep(0.3)
    raise AssertionError(f"the flow of {name} has written less than {least} lines")
