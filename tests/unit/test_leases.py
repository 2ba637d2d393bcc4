"""Devices by their many names: what udev says of them, whose a lease is, and who is told when a stick comes late."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from appliance.drivers.base import PlacementFailed
from appliance.drivers.program import Command
from appliance.drivers.units import Units
from appliance.model import SYSTEM
from appliance.schema.instances import CreateInstance
from appliance.services.conditions import Conditions
from appliance.services.leases import LeaseWatch, lost_of, words
from appliance.store.limits import Lease
from appliance.system.device_names import Names, names, same
from tests.unit.test_limits import made, put
from tests.web_box import API, WebBox

BY_ID = "/dev/serial/by-id/usb-FTDI_A1-if00-port0"


class Machine:
    """A tree such as udev and the kernel keep."""

    def __init__(self, root: Path) -> None:
        self.udev, self.numbers = root / "udev", root / "char"
        self.udev.mkdir()
        self.numbers.mkdir()

    def plug(self, number: str, name: str, *links: str) -> None:
        (self.numbers / number).mkdir()
        major, minor = number.split(":")
        (self.numbers / number / "uevent").write_text(f"MAJOR={major}\nMINOR={minor}\nDEVNAME={name}\n")
        if links:
            said = "".join(f"S:{link}\n" for link in links)
            (self.udev / f"c{number}").write_text(f"{said}I:1234\nE:ID_BUS=usb\nE:X=S:not/a/link\nG:systemd\n")

    def look(self) -> Names:
        return names(self.udev, self.numbers)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "machine").mkdir()
    return Machine(tmp_path / "machine")


@pytest.fixture
def looked(box: WebBox, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """The box looks at this machine."""
    for service in (box.services.limits, box.services.instances):
        monkeypatch.setattr(service, "_look", machine.look)
    return machine


def test_all_names_of_a_device_are_found(machine: Machine) -> None:
    machine.plug("188:0", "ttyUSB0", "serial/by-id/usb-FTDI_A1-if00-port0", "serial/by-path/pci-0-port0")
    machine.plug("188:1", "ttyUSB1", "serial/by-path/pci-0-port1")
    machine.plug("254:0", "gpiochip0")
    machine.plug("189:4", "bus/usb/001/005")
    (machine.udev / "b8:0").write_text("S:disk/by-id/x\n")
    (machine.udev / "+usb:1-1").write_text("S:odd\n")
    (machine.numbers / "1:9").mkdir()  # goes away while it is looked at
    known = machine.look()
    assert same(known, BY_ID, "/dev/ttyUSB0") and same(known, "/dev/ttyUSB0", "/dev/serial/by-path/pci-0-port0")
    assert not same(known, BY_ID, "/dev/ttyUSB1") and not same(known, "/dev/gpiochip0", "/dev/ttyUSB0")
    assert known["/dev/bus/usb/001/005"] == {"189:4"}
    assert "/dev/not/a/link" not in known and "/dev/odd" not in known and "/dev/disk/by-id/x" not in known
    assert same(known, "/dev/absent", "/dev/absent") and not same(known, "/dev/absent", "/dev/away")


def test_where_nobody_says_anything_names_are_what_they_are(tmp_path: Path) -> None:
    known = names(tmp_path / "no", tmp_path / "none")
    assert known == {} and not same(known, "/dev/ttyUSB0", BY_ID) and same(known, BY_ID, BY_ID)


def test_a_link_that_two_devices_claim_is_neither_ones_alone(machine: Machine) -> None:
    machine.plug("188:0", "ttyUSB0", "serial/by-id/twin")
    machine.plug("188:1", "ttyUSB1", "serial/by-id/twin")
    known = machine.look()
    assert same(known, "/dev/serial/by-id/twin", "/dev/ttyUSB0") and same(
        known, "/dev/serial/by-id/twin", "/dev/ttyUSB1"
    )
    assert not same(known, "/dev/ttyUSB0", "/dev/ttyUSB1")


def test_the_older_lease_holds_and_a_lost_one_takes_nothing() -> None:
    known = {"/dev/a": frozenset({"1:1"}), "/dev/b": frozenset({"1:1", "1:2"}), "/dev/c": frozenset({"1:2"})}
    first, second, third = (
        Lease(f"/dev/{each}", each, each, "team", at) for each, at in (("a", 1), ("b", 2), ("c", 3))
    )
    assert lost_of([third, second, first], known) == {"/dev/b": (second, first)}
    assert lost_of([first, Lease("/dev/b", "a", "a", "team", 2)], known) == {}  # one instance may name its device twice


def test_what_another_team_has_is_not_told_by_name() -> None:
    holder, ours, theirs = (Lease(f"/dev/{each}", each, each, team, 1) for each, team in ("ax", "bx", "cy"))
    assert "the instance 'a'" in words(ours, holder)
    assert "'a'" not in words(theirs, holder) and "an instance of another team" in words(theirs, holder)


async def test_a_device_is_not_leased_again_by_another_name(box: WebBox, looked: Machine) -> None:
    plant, other = await made(box, "plant"), await made(box, "other")
    looked.plug("188:0", "ttyUSB0", BY_ID.removeprefix("/dev/"))
    await put(box, plant, {"devices": [BY_ID]})
    refused = await put(box, other, {"devices": ["/dev/ttyUSB0"]}, 409)
    assert refused["code"] == "device_leased"
    assert refused["error"] == f"/dev/ttyUSB0 is the same device as {BY_ID}, which is leased to the instance 'plant'."
    shown = await put(box, plant, {"devices": [BY_ID, "/dev/ttyUSB0"]})  # its own, twice
    assert len(shown["devices"]) == 2
    await put(box, plant, {"devices": []})
    assert (await put(box, other, {"devices": ["/dev/ttyUSB0"]}))["devices"] == ["/dev/ttyUSB0"]


async def test_a_stick_that_comes_late_is_the_first_ones(box: WebBox, looked: Machine) -> None:
    plant, other = await made(box, "plant"), await made(box, "other")
    await put(box, plant, {"devices": ["/dev/ttyUSB0"]})
    await put(box, other, {"devices": [BY_ID, "/dev/i2c-1"]})
    await put(box, plant, {"devices": ["/dev/ttyUSB0", "/dev/gpiochip0"]})  # its older lease stays the older one
    conditions = Conditions(box.services.clock, box.services.bus)
    adjusted: list[str] = []

    async def adjust(instance_id: str) -> str:
        adjusted.append(instance_id)
        return ""

    watch = LeaseWatch(box.services.limits._context, conditions, adjust=adjust, look=looked.look)
    await watch.round()
    assert (list(conditions.current()), adjusted) == ([], [])
    looked.plug("188:0", "ttyUSB0", BY_ID.removeprefix("/dev/"))
    await watch.round()
    (problem,) = conditions.current()
    assert problem.about == other and "/dev/ttyUSB0" in problem.cause and f"--no-device {BY_ID}" in problem.next_step
    assert adjusted == [other]
    specs = {each.id: each for each in await box.services.instances.specs()}
    alone = await box.services.instances.spec(other)
    assert alone is not None and alone.limits == specs[other].limits
    assert specs[plant].limits.devices == ("/dev/gpiochip0", "/dev/ttyUSB0") and not specs[plant].limits.lost
    assert specs[other].limits.devices == ("/dev/i2c-1",) and "'plant'" in specs[other].limits.lost[0]
    async with box.client("api").get(f"{API}/projects/{other}/limits") as answer:
        shown = await answer.json()
    assert shown["devices"] == ["/dev/i2c-1", BY_ID] and "same device as /dev/ttyUSB0" in shown["note"]
    assert (await put(box, other, {"tasks": 99}))["tasks"] == 99  # other limits can be set meanwhile
    await put(box, plant, {"devices": []})
    await watch.round()
    assert list(conditions.current()) == [] and adjusted == [other, other]


async def test_who_would_get_anothers_device_is_not_started_and_told_why(
    box: WebBox, looked: Machine, tmp_path: Path
) -> None:
    plant, other = await made(box, "plant"), await made(box, "other")
    await put(box, plant, {"devices": [BY_ID]})
    await put(box, other, {"devices": ["/dev/ttyUSB0"]})
    looked.plug("188:0", "ttyUSB0", BY_ID.removeprefix("/dev/"))
    specs = {each.id: each for each in await box.services.instances.specs()}

    async def mint(instance_id: str, generation: int) -> str:
        raise AssertionError("nothing is to be placed")

    with ThreadPoolExecutor(1) as executor:
        program = Command((sys.executable,), {}, "http://127.0.0.1:1", None)
        units = Units(tmp_path / "launch", tmp_path / "boot", program, mint, executor)
        units.check(specs[plant])
        with pytest.raises(
            PlacementFailed, match="which is leased to the instance 'plant'; take it from one"
        ) as caught:
            units.check(specs[other])
    assert caught.value.reason == "device_leased"


async def test_an_instance_that_is_gone_leaves_its_devices(box: WebBox, looked: Machine) -> None:
    plant = await made(box, "plant")
    await put(box, plant, {"devices": [BY_ID]})
    looked.plug("188:0", "ttyUSB0", BY_ID.removeprefix("/dev/"))
    await box.services.instances.delete(SYSTEM, plant)
    await box.services.instances.removed(plant)
    other = (await box.services.instances.create(SYSTEM, CreateInstance(name="other"))).id
    found: Any = await put(box, other, {"devices": ["/dev/ttyUSB0"]})
    assert found["devices"] == ["/dev/ttyUSB0"]
