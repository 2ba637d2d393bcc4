"""Maintenance, room, wear and metrics, over the appliance's real services."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from msgspec.structs import replace

from appliance.config import Config, Listen, Metrics
from appliance.events import Bus, Event
from appliance.model import Desired, Observation, Phase
from appliance.reconcile.memory import FIRST_BYTES, FLOOR_BYTES
from appliance.services.metrics import Family, _lines
from appliance.services.room import RoomMeter
from appliance.services.wear import WearMeter
from appliance.system.blockdev import Device, device_of
from tests.web_box import API, WebBox, web_box

GIB = 2**30


async def ask(
    box: WebBox, method: str, path: str, body: object = None, door: str = "api"
) -> tuple[int, dict[str, object]]:
    async with box.client(door).request(method, path, json=body) as answer:
        return answer.status, await answer.json()


# -- maintenance --------------------------------------------------------------------------------------


async def test_all_are_paused_and_come_back_as_they_were_wanted(box: WebBox) -> None:
    runs, stopped, suspended = [await box.instance(name) for name in ("runs", "stopped", "suspended")]
    subject, instances = box.root, box.services.instances
    await instances.stop(subject, stopped.id)
    await instances.suspend(subject, suspended.id)
    wanted = box.services.operations.maintenance
    box.pokes.clear()
    status, answer = await ask(box, "PUT", f"{API}/box/maintenance", {"on": True, "reason": "new switch"})
    assert status == 200 and (answer["on"], answer["reason"]) == (True, "new switch")
    assert set(box.pokes) == {runs.id, stopped.id, suspended.id}
    assert {spec.desired for spec in await wanted.specs()} == {Desired.SUSPENDED}
    assert (await instances.spec(runs.id)).desired is Desired.RUNNING  # type: ignore[union-attr]  # what is stored
    (problem,) = [each for each in (await box.services.box.problems(subject)) if each.key == "maintenance"]
    assert "new switch" in problem.cause and "weir maintenance off" in problem.next_step
    status, answer = await ask(box, "POST", f"{API}/projects/{runs.id}/actions/start")
    assert (status, answer["code"]) == (409, "maintenance")
    await ask(box, "PUT", f"{API}/box/maintenance", {"on": False})
    back = {spec.id: spec.desired for spec in await wanted.specs()}
    assert back == {runs.id: Desired.RUNNING, stopped.id: Desired.STOPPED, suspended.id: Desired.SUSPENDED}
    assert not [each for each in await box.services.box.problems(subject) if each.key == "maintenance"]
    log = (await ask(box, "GET", f"{API}/admin/audit-log"))[1]["log"]
    assert [each["body"]["updates"][0]["new"] for each in log[:2]] == [False, True]  # type: ignore[index]


async def test_people_see_why_an_instance_is_paused(box: WebBox) -> None:
    made = await box.instance("plant")
    await ask(box, "PUT", f"{API}/box/maintenance", {"on": True, "reason": "new switch"})
    spec = await box.services.operations.maintenance.spec(made.id)
    assert spec is not None
    box.observed.know(spec)
    box.observed.seen(Observation(id=made.id, phase=Phase.ABSENT))
    meta = (await box.services.instances.get(made.id)).meta
    assert (meta.state, meta.reason) == ("suspended", "maintenance") and "new switch" in meta.message


async def test_it_outlives_the_appliance_and_boot_without_it(box: WebBox) -> None:
    operations = box.services.operations
    await operations.maintenance.set(box.root, on=True, reason="cabinet")
    first = operations.maintenance.shown()
    assert flagged(box)
    again = await operations.maintenance.set(box.root, on=True, reason="still")
    assert (again.since, again.reason) == (first.since, "still"), "the beginning stays"
    operations.maintenance._now = replace(first, on=False)  # as a new process that has not read yet
    await operations.maintenance.load()
    assert operations.maintenance.shown() == again
    await operations.maintenance.set(box.root, on=False)
    assert not flagged(box)


def flagged(box: WebBox) -> bool:
    return (box.context.home.state / "maintenance").exists()


# -- room -----------------------------------------------------------------------------------------------


async def test_room_is_by_what_was_measured(box: WebBox) -> None:
    one, two = [await box.instance(name) for name in ("one", "two")]
    peaks: dict[str, int] = {}
    up = {one.id, two.id}
    meter = RoomMeter(
        box.context.store, peak_bytes=peaks.get, available_bytes=lambda: GIB + FLOOR_BYTES, up=up.__contains__
    )
    (room,) = await meter.now()
    assert (room.more, room.need_bytes, room.measured) == (GIB // FIRST_BYTES, FIRST_BYTES, 0)
    peaks |= {one.id: 300 * 2**20, two.id: 100 * 2**20}
    (room,) = await meter.now()
    assert (room.more, room.need_bytes, room.measured) == (GIB // (200 * 2**20), 200 * 2**20, 2)
    up.discard(one.id)  # it is wanted and needs its memory first
    (room,) = await meter.now()
    assert room.more == (GIB - 300 * 2**20) // (200 * 2**20)
    assert (
        await RoomMeter(box.context.store, peak_bytes=peaks.get, available_bytes=lambda: 0, up=up.__contains__).now()
    )[0].more == 0
    status = await box.services.box.status(box.root)
    assert [each.type for each in status.room] == [room.type]


# -- wear -----------------------------------------------------------------------------------------------


class Card:
    """A clock, a disk, and the meter that looks at both."""

    def __init__(self, file: Path) -> None:
        self.now = datetime(2027, 3, 1, tzinfo=UTC)
        self.device: Device | None = Device("mmcblk0", True, 32 * GIB, 0)
        self.file, self.bus = file, Bus()
        self.meter = self.make()

    def make(self) -> WearMeter:
        return WearMeter(self.file, clock=lambda: self.now, device=lambda: self.device, bus=self.bus)

    def later(self, **how: float) -> None:
        self.now += timedelta(**how)


async def test_bytes_are_counted_by_launcher_and_over_restarts(tmp_path: Path) -> None:
    card = Card(tmp_path / "wear.json")
    card.meter.written("i", "launcher-1", 1000)
    card.meter.written("i", "launcher-1", 1500)
    card.meter.written("i", "launcher-2", 200)  # another one begins at nothing
    card.later(days=1)
    assert card.meter.per_day("i") == 1700
    await card.meter.keep()
    card.meter = card.make()
    assert card.meter.per_day("i") == 1700
    card.meter.written("i", "launcher-2", 900)  # the appliance is younger: how much is known already is not known
    card.meter.written("i", "launcher-2", 1000)
    (wear,) = card.meter.report([("i", "plant")]).instances
    assert (wear.name, wear.today_bytes, wear.per_day_bytes) == ("plant", 100, 1800)
    card.bus.publish(Event("instance.removed", "i"))
    assert card.meter.report([("i", "plant")]).instances == []


async def test_only_the_last_seven_days_count(tmp_path: Path) -> None:
    card = Card(tmp_path / "wear.json")
    for day in range(30):
        card.meter.written("i", "l", (day + 1) * 700 if day < 20 else 14_000)
        card.later(days=1)
    assert card.meter.per_day("i") == 0, "nothing was written for ten days"
    assert card.meter.per_day("nobody") is None


async def test_how_long_a_card_lasts(tmp_path: Path) -> None:
    card = Card(tmp_path / "wear.json")
    await card.meter.read()
    assert card.device is not None
    card.device = replace(card.device, written_bytes=10 * GIB)
    await card.meter.read()
    card.later(hours=1)
    disk = card.meter.report([]).disk
    assert disk is not None and disk.years is None, "an hour says nothing"
    card.later(hours=23)
    disk = card.meter.report([]).disk
    assert disk is not None and disk.card and disk.per_day_bytes == 10 * GIB
    assert disk.years == round(32 * 500 / 10 / 365, 1)
    card.device = replace(card.device, written_bytes=GIB)  # the machine was started again
    await card.meter.read()
    assert card.meter.report([]).disk == disk
    card.device = None
    await card.meter.read()
    assert card.meter.report([]).disk is None


async def test_a_clock_that_was_wrong_and_a_spoiled_file_cost_only_the_past(tmp_path: Path) -> None:
    card = Card(tmp_path / "wear.json")
    card.later(days=4000)
    card.meter.written("i", "l", 1000)
    card.later(days=-4000)
    card.meter.written("i", "l", 1100)
    card.later(days=1)
    assert card.meter.per_day("i") == 100
    spoil(card.file)
    assert card.make().report([("i", "plant")]).instances == []


def spoil(file: Path) -> None:
    file.write_text('{"i": {"since": "yesterday"}}')


def test_the_disk_of_a_partition(tmp_path: Path) -> None:
    number = tmp_path.stat().st_dev
    import os

    partition = tmp_path / "devices/block/mmcblk0/mmcblk0p2"
    partition.mkdir(parents=True)
    (partition / "partition").write_text("2\n")
    (partition.parent / "stat").write_text("1 2 3 4 5 6 700 8 9 10 11\n")
    (partition.parent / "size").write_text("62333952\n")
    block = tmp_path / "dev/block"
    block.mkdir(parents=True)
    (block / f"{os.major(number)}:{os.minor(number)}").symlink_to(partition)
    assert device_of(tmp_path, tmp_path) == Device("mmcblk0", True, 62333952 * 512, 700 * 512)
    assert device_of(tmp_path, tmp_path / "nowhere") is None


# -- metrics --------------------------------------------------------------------------------------------


async def test_the_box_in_numbers(box: WebBox) -> None:
    from prometheus_client.openmetrics.parser import text_string_to_metric_families as parsed

    made = await box.instance("plant")
    box.services.operations.alerts._raise('odd:"1"', title="odd", cause="\\ and \n")
    async with box.client("api").get("/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        text = await answer.text()
    found = {family.name: family for family in parsed(text)}
    (up,) = found["weir_instance_up"].samples
    assert (up.labels["instance"], up.labels["id"], up.labels["team"]) == ("plant", made.id, "home")
    assert found["weir_room_instances"].samples and found["weir_host_memory_total_bytes"].samples[0].value > 0
    assert ("odd", 1) in [(each.labels["kind"], each.value) for each in found["weir_problems"].samples]
    assert found["weir"].samples[0].name == "weir_info"
    assert found["weir_maintenance"].samples[0].value == 0


async def test_metrics_need_a_token_and_are_not_for_the_network(home: Path) -> None:
    for public in (False, True):
        config = Config(listen=Listen(https=8443), metrics=Metrics(public=public))
        async with web_box(home / str(public), config) as box:
            token = (await ask(box, "POST", f"{API}/admin/stats-token"))[1]["token"]
            wanted = {"tcp": 200, "web": 200 if public else 404}
            for door, status in wanted.items():
                async with box.client(door, str(token)).get("/metrics") as answer:
                    assert answer.status == status, (public, door)
                async with box.client(door).get("/metrics") as answer:
                    assert answer.status == 401, "the token is always needed"
            person = await box.token(await box.person("ann", 50))  # type: ignore[arg-type]
            async with box.client("tcp", person).get("/metrics") as answer:
                assert answer.status == 403


def test_labels_that_people_write_break_nothing() -> None:
    from prometheus_client.openmetrics.parser import text_string_to_metric_families as parsed

    odd = 'a"b\\c\nd'
    text = "".join(_lines(Family("room_instances", "Odd \n\\.", (({"type": odd}, 3),)))) + "# EOF\n"
    (family,) = parsed(text)
    assert family.samples[0].labels == {"type": odd} and family.samples[0].value == 3
