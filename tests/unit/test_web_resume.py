"""Streams over a lost connection: what was missed comes after Last-Event-ID; `reset` says when some of it is gone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from appliance.events import Event
from appliance.model import LauncherReport, LauncherState, Observation, Phase
from appliance.web.feed import KEEP
from launcher.api import Api
from launcher.loglines import RING_LINES, Log
from launcher.samples import KEPT
from launcher.segments import Segments
from launcher.web import Server
from tests.unit.test_launcher_samples import Machine
from tests.unit.test_web_streams import opened
from tests.web_box import API, WebBox, web_box

LINE = b"x" * 100


class Place(Struct, frozen=True):
    """An instance whose launcher is the launcher's own server, with a log and a machine of the test's."""

    box: WebBox
    id: str
    log: Log
    machine: Machine

    async def read(self, kind: str, count: int, last: str | None = None) -> list[dict[str, Any]]:
        """The first events of a stream of the instance, without comments; then the connection is cut."""
        found: list[dict[str, Any]] = []
        async with opened(self.box.client("api"), f"{API}/projects/{self.id}/{kind}/stream", last) as stream:
            while len(found) < count:
                event = await stream.next()
                assert event is not None
                found += [event] if event["event"] != "comment" else []
        return found


@pytest.fixture
async def place(home: Path, tmp_path: Path) -> AsyncIterator[Place]:
    async with web_box(home) as box:
        instance = await box.instance("line-1")
        spec = await box.services.instances.spec(instance.id)
        assert spec is not None
        box.observed.know(spec)
        log = Log(Segments(tmp_path / "logs", segment_bytes=2000, total_bytes=6000), "ab12")
        machine = Machine()
        server = Server(Api(Path("/nowhere"), log, machine.samples, 0.0, lambda: None).routes())
        server.secret = box.services.tokens.api_secret(spec.id, spec.generation)
        await server.open(spec.launcher_port)
        try:
            yield Place(box, instance.id, log, machine)
        finally:
            await server.close()
            log.close()


async def test_states_missed_meanwhile_come_in_order(place: Place) -> None:
    """The progress of a start is its states: each with a sentence, none lost over a connection that was cut."""
    box = place.box
    spec = await box.services.instances.spec(place.id)
    assert spec is not None
    box.observed.seen(Observation(id=place.id, phase=Phase.UP, pid=7, generation=1))
    async with opened(box.client("api"), f"{API}/events") as stream:
        reset = await stream.next()
        assert reset and reset["event"] == "reset"
    steps = [LauncherState.LOADING, LauncherState.INSTALLING, LauncherState.STARTING, LauncherState.RUNNING]
    for seq, state in enumerate(steps, 1):
        box.observed.report(place.id, _report(state, seq, spec.command_generation))
    async with opened(box.client("api"), f"{API}/events", reset["id"]) as stream:
        seen: list[dict[str, Any]] = []
        while not seen or seen[-1]["data"]["meta"]["reason"] != "running":
            event = await stream.next()
            assert event is not None
            seen += [event] if event["event"] == "instance.state" else []
        assert [event["data"]["meta"]["reason"] for event in seen] == [state.value for state in steps]
        assert all(event["data"]["meta"]["message"] for event in seen)
        assert len({event["id"] for event in seen}) == len(seen)


async def test_events_that_fell_out_of_the_ring_are_a_reset_with_everything(place: Place) -> None:
    box = place.box
    async with opened(box.client("api"), f"{API}/events") as stream:
        first = await stream.next()
        assert first is not None
    team = (await box.services.instances.get(place.id)).team["id"]
    for number in range(KEEP):
        box.context.bus.publish(Event("instance.changed", f"n{number}", team))
    async with opened(box.client("api"), f"{API}/events", first["id"]) as stream:
        told = await stream.next()
        assert told and (told["event"], told["data"]) == ("instance.changed", {"id": "n0"}), "the oldest still there"
    box.context.bus.publish(Event("instance.changed", "one more", team))
    async with opened(box.client("api"), f"{API}/events", first["id"]) as stream:
        told = await stream.next()
        assert told and told["event"] == "reset"
        assert [instance["name"] for instance in told["data"]["instances"]] == ["line-1"]
        box.context.bus.publish(Event("instance.changed", "after", team))
        told = await stream.next()
        assert told and told["data"] == {"id": "after"}


async def test_lines_missed_meanwhile_come_once(place: Place) -> None:
    place.log.output(b"seen")
    (seen,) = await place.read("logs", 1, "0" * 17)
    for number in range(3):
        place.log.output(b"missed %d" % number)
    missed = await place.read("logs", 3, seen["id"])
    assert [event["data"]["msg"] for event in missed] == ["missed 0", "missed 1", "missed 2"]
    assert {event["event"] for event in missed} == {"log"}


async def test_lines_that_were_cleared_away_are_a_reset(place: Place) -> None:
    place.log.output(b"seen")
    (page,) = place.log.recent()
    for _ in range(RING_LINES + 1):
        place.log.output(LINE)
    await place.log.forward(1, 1)  # what waits is written, and what is too much cleared away
    assert place.log.first > page.stamp, "the first line is gone from the disk"
    reset, line = await place.read("logs", 2, page.cursor)
    assert (reset["event"], line["event"]) == ("reset", "log")
    assert page.cursor < reset["data"]["first"] <= line["id"]
    (line,) = await place.read("logs", 1, "0" * 17)
    assert line["event"] == "log", "whoever has seen nothing has missed nothing"


async def test_samples_missed_meanwhile_come_and_lost_ones_are_a_reset(place: Place) -> None:
    await place.machine.step()
    seen = await place.machine.step()
    assert seen is not None
    for _ in range(3):
        await place.machine.step()
    missed = await place.read("resources", 3, str(seen.ts))
    assert [event["event"] for event in missed] == ["sample"] * 3
    assert [event["data"]["ts"] - seen.ts for event in missed] == [10_000, 20_000, 30_000]
    for _ in range(KEPT):
        await place.machine.step()
    reset, sample = await place.read("resources", 2, str(seen.ts))
    assert (reset["event"], sample["event"]) == ("reset", "sample")
    assert sample["data"]["ts"] > seen.ts + 10_000


async def test_samples_of_a_launcher_that_is_gone_are_a_reset(place: Place) -> None:
    await place.machine.step()
    reset, sample = await place.read("resources", 2, "1700000000000")
    assert (reset["event"], sample["event"]) == ("reset", "sample")


def _report(state: LauncherState, seq: int, generation: int) -> LauncherReport:
    return LauncherReport(
        state=state,
        seq=seq,
        pid=7,
        node_red_pid=8,
        command_generation=generation,
        versions={},
        reason=state.value,
        message=f"It is {state.value}.",
        at=datetime.now(UTC),
    )
