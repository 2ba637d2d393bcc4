"""What the box says of itself, and what is wrong with it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from appliance.model import Role
from appliance.services import box, conditions
from appliance.services.box import measure
from appliance.system import tls
from appliance.system.tls import AcceptedName
from tests.service_rig import ROOMY_DISK, WELL, Rig, service_rig
from tests.support import eventually


@pytest.fixture
async def rig(home: Path) -> AsyncIterator[Rig]:
    async with service_rig(home) as rig:
        yield rig


async def test_status(rig: Rig) -> None:
    made = await rig.create()
    status = await rig.box.status(rig.admin)
    assert status.appliance.pid == os.getpid()
    assert status.appliance.url == "https://box.test:8443"
    assert status.appliance.ca_url == "https://box.test:8443/ca.crt"
    assert status.appliance.names == ["box.test:8443", "localhost:8443"]
    assert status.appliance.started_at == "2026-11-23T12:00:00.000Z"
    assert status.appliance.home == str(rig.context.home.root)
    (instance,) = status.instances
    assert (instance.id, instance.name, instance.state) == (made.id, "line-1", "starting")
    assert instance.url == made.url
    assert status.problems == []


async def test_the_fingerprint_is_that_of_the_ca_in_use(rig: Rig) -> None:
    """Empty without a CA and with a broken one: the status must say how the box is, not fail with it."""
    home = rig.context.home
    assert (await rig.box.status(rig.admin)).appliance.ca_fingerprint == ""
    tls.ensure(home, [AcceptedName("box.test")])
    assert (await rig.box.status(rig.admin)).appliance.ca_fingerprint == tls.fingerprint(home.tls / "ca.crt")
    (home.tls / "ca.crt").write_text("broken")
    assert (await rig.box.status(rig.admin)).appliance.ca_fingerprint == ""


def test_the_machine_is_really_measured(tmp_path: Path) -> None:
    usage = measure(tmp_path)
    assert 0 < usage.memory_used_bytes < usage.memory_total_bytes
    assert 0 < usage.disk_free_bytes <= usage.disk_total_bytes
    assert usage.cpu_percent >= 0


async def test_a_disk_that_does_not_answer_holds_up_no_status(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """One on the network that is away: what it said last is shown, one thread waits for it, and it may come back."""
    monkeypatch.setattr(box, "LOOK_S", 0.2)
    known = (await rig.box.status(rig.admin)).host.disk_total_bytes
    answers, reads = threading.Event(), []

    def away(directory: Path) -> box.Usage:
        reads.append(directory)
        assert answers.wait(30)
        return replace(measure(directory), disk_total_bytes=known + 1)

    rig.box._usage = away
    try:
        async with asyncio.timeout(5):
            said = [(await rig.box.status(rig.admin)).host.disk_total_bytes for _ in range(3)]
        assert (said, len(reads)) == ([known] * 3, 1)
    finally:
        answers.set()

    async def back() -> bool:
        return (await rig.box.status(rig.admin)).host.disk_total_bytes == known + 1

    await eventually(back)


async def test_a_missing_stack_is_a_problem_only_while_somebody_wants_it(rig: Rig) -> None:
    made = await rig.create()
    rig.built.clear()
    (problem,) = await rig.box.problems(rig.admin)
    assert problem.key == "stack_missing:node-red-5"
    assert problem.next_step == "Run: weir stack build node-red-5"
    assert "line-1" in problem.evidence
    await rig.instances.suspend(rig.admin, made.id)
    assert await rig.box.problems(rig.admin) == []


async def test_conditions_are_raised_once_and_cleared_once(rig: Rig) -> None:
    registry = rig.conditions
    for evidence in ("one", "one", "two"):
        registry.raise_("proxy", title="nginx refused", cause="bad", evidence=evidence, next_step="look")
        rig.clock.forward(minutes=1)
    (condition,) = registry.current()
    assert (condition.evidence, condition.problem().since) == ("two", "2026-11-23T12:00:00.000Z")
    registry.clear("proxy")
    registry.clear("proxy")
    assert registry.current() == []
    kinds = [event.kind for event in rig.events if event.kind.startswith("problem.")]
    assert kinds == ["problem.raised", "problem.cleared"]


async def test_conditions_are_bounded(rig: Rig) -> None:
    for number in range(conditions.MOST + 50):
        rig.conditions.raise_(f"k{number}", title="t", cause="c")
    assert len(rig.conditions.current()) == conditions.MOST
    assert rig.conditions.current()[-1].key == f"k{conditions.MOST + 49}"


async def test_the_problems_of_an_instance_go_with_it(rig: Rig) -> None:
    made = await rig.create()
    rig.conditions.raise_("spent", title="t", cause="c", about=made.id)
    rig.conditions.raise_("other", title="t", cause="c", about="somebody")
    await rig.instances.delete(rig.admin, made.id)
    await rig.instances.removed(made.id)
    assert [condition.key for condition in rig.conditions.current()] == ["other"]


async def test_people_see_the_problems_of_their_own_instances(rig: Rig) -> None:
    _, application_id = await rig.team("other")
    mine, theirs = await rig.create("mine"), await rig.create("theirs", application_id=application_id)
    for key, about in (("box", None), ("mine", mine.id), ("theirs", theirs.id)):
        rig.conditions.raise_(key, title="t", cause="c", about=about)
    viewer = await rig.member("vera", Role.VIEWER)
    assert {problem.key for problem in await rig.box.problems(rig.admin)} == {"box", "mine", "theirs"}
    status = await rig.box.status(viewer)
    assert [problem.key for problem in status.problems] == ["mine"]
    assert [instance.name for instance in status.instances] == ["mine"]


async def test_a_full_disk_is_told_before_anybody_asks(rig: Rig) -> None:
    rig.readings = replace(WELL, disks=(replace(ROOMY_DISK, free_bytes=1),))
    watching = asyncio.create_task(rig.box.watch())
    try:
        await eventually(lambda: "problem.raised" in [event.kind for event in rig.events])
    finally:
        watching.cancel()
    assert [condition.key for condition in rig.conditions.current()] == ["disk_full"]


async def test_an_administrators_narrowed_token_is_told_of_its_teams_alone(rig: Rig) -> None:
    made = await rig.create()
    rig.conditions.raise_("a", title="of the box", cause="c")
    rig.conditions.raise_("b", title="of the instance", cause="c", about=made.id)
    for team_ids, wanted in ((None, ["a", "b"]), ({rig.made.team_id}, ["b"]), ({"another"}, [])):
        token = replace(rig.admin, team_ids=None if team_ids is None else frozenset(team_ids))
        assert [problem.key for problem in await rig.box.problems(token)] == wanted
