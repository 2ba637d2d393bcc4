"""What an instance takes, over the API: the appliance's routes in front of the launcher's own server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from appliance.model import Role
from appliance.schema.instances import Instance
from launcher.api import Api
from launcher.loglines import Log
from launcher.samples import Samples
from launcher.schema import Sample
from launcher.segments import Segments
from launcher.web import Server
from tests.support import eventually
from tests.unit.test_launcher_samples import SAID, Machine
from tests.unit.test_web_streams import opened
from tests.web_box import API, WebBox, web_box

FIRST_MS = 1_795_000_010_000


class Place:
    """An instance, and in place of its launcher process the launcher's server with a machine of ours."""

    def __init__(self, box: WebBox, instance: Instance, machine: Machine) -> None:
        self.box = box
        self.instance = instance
        self.machine = machine
        self.path = f"{API}/projects/{instance.id}/resources"

    async def get(self, **query: str | int) -> dict[str, Any]:
        async with self.box.client("api").get(self.path, params=query) as answer:
            assert answer.status == 200, await answer.text()
            return dict(await answer.json())


@pytest.fixture
async def place(home: Path, tmp_path: Path) -> AsyncIterator[Place]:
    async with web_box(home) as box:
        instance = await box.instance("line-1")
        spec = await box.services.instances.spec(instance.id)
        assert spec is not None
        machine, log = Machine(), Log(Segments(tmp_path / "logs"), "ab12")
        server = Server(Api(Path("/nowhere"), log, machine.samples, 0.0, lambda: None).routes())
        server.secret = box.services.tokens.api_secret(spec.id, spec.generation)
        await server.open(spec.launcher_port)
        try:
            yield Place(box, instance, machine)
        finally:
            await server.close()
            log.close()


async def test_history_has_all_fields(place: Place) -> None:
    """Instance protocol D23: the reference's schema loses what the event loop and the messages are."""
    assert await place.get() == {"meta": {}, "resources": [], "count": 0}
    for number in range(250):
        await place.machine.step(10 + number % 3, ela=0.25)
    document = await place.get()
    assert document["count"] == len(document["resources"]) == 250
    assert document["resources"][0] == {
        "src": "ab12",
        "ts": FIRST_MS,
        "ps": 100.0,
        "cpu": 10.0,
        **SAID,
        "ela": 0.25,
    }
    assert (await place.get(limit=2))["resources"] == document["resources"][-2:]
    assert (await place.get(since=document["resources"][-4]["ts"]))["resources"] == document["resources"][-3:]
    assert (await place.get(since=0, limit=1))["count"] == 1


@pytest.mark.parametrize("query", ["limit=0", "limit=99999", "since=-1", "since=yesterday"])
async def test_senseless_queries_are_refused(place: Place, query: str) -> None:
    async with place.box.client("api").get(f"{place.path}?{query}") as answer:
        assert answer.status == 400, await answer.text()


async def test_a_stream_goes_on_where_it_was_cut(place: Place) -> None:
    await place.machine.step()
    async with opened(place.box.client("api"), f"{place.path}/stream?since=0") as stream:
        first = await anything_but_comments(stream)
        assert (first["event"], first["id"], first["data"]["ts"]) == ("sample", str(FIRST_MS), FIRST_MS)
        await place.machine.step()
        assert (await anything_but_comments(stream))["data"]["ts"] == FIRST_MS + 10_000
    await place.machine.step()
    async with opened(place.box.client("api"), f"{place.path}/stream", last=str(FIRST_MS + 10_000)) as stream:
        assert (await anything_but_comments(stream))["data"]["ts"] == FIRST_MS + 20_000


async def anything_but_comments(stream: Any) -> dict[str, Any]:
    while True:
        told = await stream.next()
        assert told is not None
        if told["event"] != "comment":
            return dict(told)


async def test_a_launchers_report_is_in_lists_and_on_the_event_stream(place: Place) -> None:
    grant = await place.box.boot(place.instance)
    body = {"sample": {"src": "ab12", "ts": FIRST_MS, "ps": 131.5, "cpu": 12.0}, "peakMb": 150, "alerts": []}
    async with opened(place.box.client("api"), f"{API}/events") as stream:
        await stream.next()
        async with place.box.client("tcp", grant.token).post(place.path, json=body) as answer:
            assert answer.status == 200, await answer.text()
        told = await anything_but_comments(stream)
    assert told["event"] == "instance.resources"
    assert told["data"]["id"] == place.instance.id and told["data"]["resources"]["cpuPercent"] == 12
    async with place.box.client("api").get(f"{API}/instances") as answer:
        listed = (await answer.json())["instances"][0]["resources"]
    assert listed == told["data"]["resources"] and listed["memoryBytes"] == int(131.5 * 2**20)
    async with place.box.client("api").get(f"{API}/box/status") as answer:
        status = (await answer.json())["instances"][0]
    assert (status["cpu_percent"], status["memory_bytes"]) == (12, listed["memoryBytes"])


@pytest.mark.parametrize(
    "lie",
    [{"cpu": -1}, {"cpu": 1e300}, {"ps": "much"}, {"ts": -5}, {"ts": 10**30}, {"nrmsgs": 1.5}, {"src": 7}],
)
async def test_impossible_reports_are_refused(place: Place, lie: dict[str, Any]) -> None:
    grant = await place.box.boot(place.instance)
    body = {"sample": {"src": "ab12", "ts": FIRST_MS, **lie}}
    async with place.box.client("tcp", grant.token).post(place.path, json=body) as answer:
        assert answer.status == 400, await answer.text()
    far = {"sample": {"src": "ab12", "ts": 2**53}}
    async with place.box.client("tcp", grant.token).post(place.path, json=far) as answer:
        assert answer.status == 200, await answer.text()


async def test_what_node_red_says_by_itself_is_not_taken(place: Place) -> None:
    """A flow holds Node-RED's token, and reads the figures of nobody."""
    grant = await place.box.boot(place.instance)
    client = place.box.client("tcp", grant.node_red_token)
    body = {"sample": {"src": "ab12", "ts": FIRST_MS, "cpu": 0}}
    async with client.post(place.path, json=body) as answer:
        assert answer.status == 401
    async with client.get(place.path) as answer:
        assert answer.status == 401


async def test_who_may_only_see_dashboards_sees_no_figures(place: Place) -> None:
    person = await place.box.person("viewer", Role.DASHBOARD)
    client = place.box.client("tcp", await place.box.token(person))
    for path in (place.path, f"{place.path}/stream"):
        async with client.get(path) as answer:
            assert answer.status == 403


async def test_a_slow_reader_misses_no_sample_and_holds_up_nobody(place: Place) -> None:
    samples: Samples = place.machine.samples
    slow = samples.follow(0, 5)
    for number in range(5):
        samples.ring.append(Sample("ab12", number))
    await place.machine.step()
    seen = [(await asyncio.wait_for(anext(slow), 5)).ts for _ in range(6)]  # type: ignore[union-attr]
    assert seen == [0, 1, 2, 3, 4, FIRST_MS]
    await eventually(lambda: samples.ring.count == 6)
