"""Limits and leased devices of an instance on the screens, against a real appliance: keys pressed, the API asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from appliance.model import Role
from tests.people_box import People, people_box
from tests.support import eventually
from tests.tui.conftest import Weir, loaded, said
from tests.tui.platform_rig import at, goes, reads, typed
from tui.app import WeirApp

NOTE = "lists of networks and of ports do not hold"


@pytest.fixture
async def people(home: Path) -> AsyncIterator[People]:
    async with people_box(home) as found:
        yield found


async def limits(people: People, ident: str) -> Any:
    return await people.root.ok("GET", f"/projects/{ident}/limits")


async def change(app: WeirApp, pilot: Pilot[None], key: str, text: str) -> None:
    """Put the cursor on a line, and give it another value."""
    await on(app, key)
    await pilot.press("enter")
    await typed(pilot, text)


async def on(app: WeirApp, key: str) -> None:
    frame: Any = app.frame
    await eventually(lambda: key in frame.table.keys, what=key)
    frame.table.move_to(frame.table.keys.index(key))


async def test_each_limit_is_changed_and_taken_back(people: People) -> None:
    made = await people.box.instance("plant")
    async with at(people) as (app, pilot):
        await goes(pilot, "limits plant")
        await reads(app, "AT MOST", "the box's default", "none; a leases one", "nothing: it does not run", "a lease")
        for key, text in (("memory", "300"), ("cpu", "50"), ("tasks", "64"), ("disk", "900")):
            await change(app, pilot, key, text)
            await reads(app, f"{key} is {text}")
        await reads(app, "300 MB", "50% of a core", "64 processes", "900 MB")
        shown = await limits(people, made.id)
        assert (shown["memoryMb"], shown["cpuPercent"], shown["tasks"], shown["diskMb"]) == (300, 50, 64, 900)
        await change(app, pilot, "networks", "192.0.2.7/24, 2001:db8::/32")
        await reads(app, "192.0.2.0/24, 2001:db8::/32")
        assert (await limits(people, made.id))["networks"] == ["192.0.2.0/24", "2001:db8::/32"]
        await change(app, pilot, "networks", "all")
        await reads(app, "it may speak with all")
        await change(app, pilot, "ports", "1883, tcp:1880,udp:5000-5010")
        await reads(app, "tcp:1880, 1883, udp:5000-5010")
        assert (await limits(people, made.id))["ports"] == ["tcp:1880", "1883", "udp:5000-5010"]
        await change(app, pilot, "ports", "all")
        await reads(app, "it may open all ports that nobody else has")
        await change(app, pilot, "memory", "default")
        await reads(app, "memory is as the type says")
        shown = await limits(people, made.id)
        assert (shown["memoryMb"], shown["networks"], shown["tasks"]) == (None, [], 64)
    events = [each["event"] for each in (await people.root.ok("GET", f"/projects/{made.id}/audit-log"))["log"]]
    assert events.count("project.limits.updated") == 9


async def test_what_makes_no_sense_changes_nothing_and_says_why(people: People) -> None:
    made = await people.box.instance("plant")
    before = await limits(people, made.id)
    async with at(people, size=(120, 24)) as (app, pilot):
        await goes(pilot, "limits plant")
        await change(app, pilot, "memory", "[red]lots[/]")
        await reads(app, "memory can't be '[red]lots[/]'", "a whole number (MB), or 'default'")
        await change(app, pilot, "memory", "1")
        await reads(app, "memoryMb")
        await change(app, pilot, "networks", "plant")
        await reads(app, "'plant' is no address and no network")
        await change(app, pilot, "ports", "http")
        await reads(app, "'http' is no port and no range of ports", "tcp:1880")
        await pilot.press("a")
        await typed(pilot, "/dev/sda")
        await reads(app, "'/dev/sda' can't be leased", "/dev/ttyUSB0")
        await on(app, "memory")
        await pilot.press("enter", "enter")  # nothing typed
        await pilot.press("x")
        await reads(app, "put the cursor on a device")
        await pilot.press("G", "enter")
        await reads(app, "this is set elsewhere")
    assert await limits(people, made.id) == before


async def test_a_device_is_leased_to_one_instance_and_taken_back(people: People) -> None:
    plant, other = await people.box.instance("plant"), await people.box.instance("other")
    async with at(people) as (app, pilot):
        await goes(pilot, "limits plant")
        await reads(app, "none; a leases one")
        await on(app, "devices")
        await pilot.press("enter")
        await typed(pilot, "/dev/ttyUSB0")
        await reads(app, "/dev/ttyUSB0", "leased to it alone")
        # Somebody else leases one more meanwhile: it must not get lost.
        await people.root.ok("PUT", f"/projects/{plant.id}/limits", {"devices": ["/dev/ttyUSB0", "/dev/i2c-1"]})
        await pilot.press("a")
        await typed(pilot, "/dev/gpiochip0")
        wanted = ["/dev/gpiochip0", "/dev/i2c-1", "/dev/ttyUSB0"]
        await reads(app, *wanted)
        assert (await limits(people, plant.id))["devices"] == wanted
        await goes(pilot, "limits other")
        await reads(app, "inst > other", "none; a leases one")
        await pilot.press("a")
        await typed(pilot, "/dev/ttyUSB0")
        await reads(app, "is leased to the instance 'plant'", "A device is one")
        assert (await limits(people, other.id))["devices"] == []
        await goes(pilot, "limits plant")
        await on(app, "device /dev/ttyUSB0")
        await pilot.press("x")
        await typed(pilot, "no")
        await reads(app, "nothing was done")
        await pilot.press("x")
        await typed(pilot, "/dev/ttyUSB0")
        await reads(app, "/dev/ttyUSB0 is taken back")
        assert (await limits(people, plant.id))["devices"] == ["/dev/gpiochip0", "/dev/i2c-1"]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OWNER])
async def test_who_may_not_change_them_sees_them_only(people: People, role: Role) -> None:
    made = await people.box.instance("plant")
    await people.root.ok("PUT", f"/projects/{made.id}/limits", {"memoryMb": 300, "devices": ["/dev/ttyUSB0"]})
    somebody = await people.add("somebody", role)
    async with at(people, somebody) as (app, pilot):
        await goes(pilot, "limits plant")
        await reads(app, "300 MB", "/dev/ttyUSB0", without="a lease")
        for key in ("enter", "a", "x"):
            await on(app, "device /dev/ttyUSB0")
            await pilot.press(key)
            assert not app.frame.prompt.open
            await reads(app, "your role does not let you")
    assert (await limits(people, made.id))["devices"] == ["/dev/ttyUSB0"]


async def test_what_the_box_cannot_enforce_is_said(people: People, weir: Weir, monkeypatch: pytest.MonkeyPatch) -> None:
    async def lacks() -> str:
        return NOTE

    monkeypatch.setattr(people.box.services.limits._adjust, "lacks", lacks)
    await people.box.instance("plant")
    async with at(people) as (app, pilot):
        await goes(pilot, "limits plant")
        await reads(app, NOTE)
    assert f"note: {NOTE}" in await said(weir, "instance", "limits", "plant")


async def test_ports_are_set_by_the_command_too(people: People, weir: Weir) -> None:
    await people.box.instance("plant")
    assert "ports     all that nobody else has" in await said(weir, "instance", "limits", "plant")
    shown = await said(weir, "instance", "limits", "plant", "--ports", "udp:5000-5010,tcp:1880")
    assert "ports     tcp:1880, udp:5000-5010" in shown
    assert (await loaded(weir, "instance", "limits", "plant", "--ports", "own"))["ports"] == ["own"]
    refused = await weir("instance", "limits", "plant", "--ports", "12081")
    assert refused.code == 1 and "12080-13079 belongs to Weir" in refused.err and "Name other ports" in refused.err
    assert (await loaded(weir, "instance", "limits", "plant", "--ports", "all"))["ports"] == []
