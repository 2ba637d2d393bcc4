"""Limits and devices of instances through the API, and an instance that takes too much of the disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from appliance.launcher_client import DiskUse
from appliance.model import SYSTEM, InstanceSpec
from appliance.schema.instances import CreateInstance
from appliance.services.conditions import Conditions
from appliance.services.quota import DiskQuota
from tests.web_box import API, WebBox


async def made(box: WebBox, name: str) -> str:
    return (await box.services.instances.create(SYSTEM, CreateInstance(name=name))).id


async def put(box: WebBox, instance_id: str, body: dict[str, Any], status: int = 200) -> Any:
    async with box.client("api").put(f"{API}/projects/{instance_id}/limits", json=body) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json()


async def test_limits_reach_the_placement_and_the_audit_log(box: WebBox) -> None:
    plant = await made(box, "plant")
    shown = await put(box, plant, {"memoryMb": 300, "cpuPercent": 50, "networks": ["192.0.2.7/24"]})
    assert (shown["memoryMb"], shown["cpuPercent"], shown["tasks"]) == (300, 50, None)
    assert shown["networks"] == ["192.0.2.0/24"]
    spec = await box.services.instances.spec(plant)
    assert spec is not None and spec.limits.memory_mb == 300 and spec.limits.networks == ("192.0.2.0/24",)
    generation = spec.generation
    shown = await put(box, plant, {"memoryMb": None, "tasks": 64})
    assert (shown["memoryMb"], shown["cpuPercent"], shown["tasks"]) == (None, 50, 64)
    spec = await box.services.instances.spec(plant)
    assert spec is not None and spec.generation == generation  # nothing is placed anew for it
    async with box.client("api").get(f"{API}/projects/{plant}/audit-log") as answer:
        events = [each["event"] for each in (await answer.json())["log"]]
    assert events.count("project.limits.updated") == 2


async def test_ports_are_kept_in_one_spelling_and_told_in_the_audit_log(box: WebBox) -> None:
    plant = await made(box, "plant")
    assert (await put(box, plant, {}))["ports"] == []
    given = ["UDP:5000-5010", " 1883", "tcp:1880", "tcp:1880-1880", "own"]
    assert (await put(box, plant, {"ports": given}))["ports"] == ["tcp:1880", "1883", "udp:5000-5010"]
    spec = await box.services.instances.spec(plant)
    assert spec is not None and spec.limits.ports == ("tcp:1880", "1883", "udp:5000-5010")
    assert (await put(box, plant, {"tasks": 64}))["ports"] == ["tcp:1880", "1883", "udp:5000-5010"]
    assert (await put(box, plant, {"ports": ["Own"]}))["ports"] == ["own"]
    async with box.client("api").get(f"{API}/projects/{plant}/audit-log") as answer:
        newest = (await answer.json())["log"][0]
    assert newest["event"] == "project.limits.updated" and '"own"' in json.dumps(newest["body"])
    assert (await put(box, plant, {"ports": []}))["ports"] == []


@pytest.mark.parametrize(
    ("ports", "said"),
    [
        (["http"], "'http' is no port"),
        (["0"], "'0' is no port"),
        (["tcp:65536"], "no port"),
        (["20-10"], "no range of ports"),
        (["sctp:80"], "'sctp:80' is no port"),
        (["1880 any"], "no port"),
        (["tcp:"], "no port"),
        (["١٨٨٠"], "no port"),
        (["tcp:1880-12080"], "tcp:1880-12080 can't be opened to an instance: 12080-13079 belongs to Weir"),
        (["udp:12085"], "udp:12085 can't be opened"),
    ],
)
async def test_what_names_no_ports_is_refused_in_words(box: WebBox, ports: list[str], said: str) -> None:
    plant = await made(box, "plant")
    refused = await put(box, plant, {"ports": ports}, 400)
    assert refused["code"] == "invalid_port" and said in refused["error"] and refused["hint"]
    assert (await put(box, plant, {}))["ports"] == []


async def test_so_many_ports_as_systemd_takes(box: WebBox) -> None:
    plant = await made(box, "plant")
    assert len((await put(box, plant, {"ports": [f"tcp:{each}" for each in range(2000, 2016)]}))["ports"]) == 16
    await put(box, plant, {"ports": [f"tcp:{each}" for each in range(2000, 2017)]}, 400)


async def test_what_the_type_says_holds_where_the_instance_says_nothing(box: WebBox) -> None:
    plant = await made(box, "plant")
    async with box.client("api").get(f"{API}/project-types") as answer:
        type_id = (await answer.json())["types"][0]["id"]
    body = {"properties": {"memory": 512, "disk": "900", "tasks": "many"}}
    async with box.client("api").put(f"{API}/project-types/{type_id}", json=body) as answer:
        assert answer.status == 200
    await put(box, plant, {"memoryMb": 256})
    spec = await box.services.instances.spec(plant)
    assert spec is not None
    assert (spec.limits.memory_mb, spec.limits.disk_mb, spec.limits.tasks) == (256, 900, None)


async def test_a_device_is_leased_to_one_instance(box: WebBox) -> None:
    plant, other = await made(box, "plant"), await made(box, "other")
    assert (await put(box, plant, {"devices": ["/dev/ttyUSB0", "/dev/i2c-1"]}))["devices"] == [
        "/dev/i2c-1",
        "/dev/ttyUSB0",
    ]
    refused = await put(box, other, {"devices": ["/dev/ttyUSB0"]}, 409)
    assert refused["code"] == "device_leased" and "plant" in refused["error"]
    await put(box, plant, {"devices": []})
    assert (await put(box, other, {"devices": ["/dev/ttyUSB0"]}))["devices"] == ["/dev/ttyUSB0"]


@pytest.mark.parametrize(
    "path",
    [
        "/dev/sda",
        "/dev/mem",
        "/dev/tty1",
        "/dev/../etc/shadow",
        "char-*",
        "/dev/x rw",
        "/etc/passwd",
        "/dev/nvme0n1",
        "/dev/char/1:1",
        "/dev/block/8:0",
    ],
)
async def test_what_owns_the_machine_is_leased_to_nobody(box: WebBox, path: str) -> None:
    plant = await made(box, "plant")
    assert (await put(box, plant, {"devices": [path]}, 400))["code"] == "invalid_device"
    assert (await put(box, plant, {}))["devices"] == []


@pytest.mark.parametrize("body", [{"memoryMb": 1}, {"cpuPercent": 0}, {"tasks": "x"}, {"networks": ["plant"]}])
async def test_senseless_limits_are_refused(box: WebBox, body: dict[str, Any]) -> None:
    plant = await made(box, "plant")
    await put(box, plant, body, 400)


async def test_who_takes_too_much_of_the_disk_is_suspended_with_the_figures(box: WebBox, tmp_path: Path) -> None:
    plant, other = await made(box, "plant"), await made(box, "other")
    await put(box, plant, {"diskMb": 100})
    conditions = Conditions(box.services.clock, box.services.bus)
    used = {plant: DiskUse(150 << 20), other: DiskUse(10 << 20)}

    async def measure(spec: InstanceSpec) -> DiskUse:
        return used[spec.id]

    quota = DiskQuota(
        tmp_path, tmp_path / "reserve", instances=box.services.instances, measure=measure, conditions=conditions
    )
    await quota.measure()
    wanted = {each.id: each.desired.value for each in await box.services.instances.specs()}
    assert wanted == {plant: "suspended", other: "running"}
    (problem,) = conditions.current()
    assert problem.about == plant and problem.evidence == "150 MB of 100 MB" and "--disk 200" in problem.next_step
    assert quota.used_mb(plant) == 150
    await box.services.instances.start(SYSTEM, plant)
    used[plant] = DiskUse(50 << 20)
    await quota.measure()
    assert list(conditions.current()) == []
    used[plant] = DiskUse(50 << 20, whole=False)  # it hides files from its own launcher
    await quota.measure()
    assert "hides" in conditions.current()[0].evidence
