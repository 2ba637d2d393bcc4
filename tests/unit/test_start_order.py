"""After whom an instance is started: names and rings at the API, waiting in the reconciler."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from appliance.errors import Invalid
from appliance.events import Bus
from appliance.model import Desired, LauncherReport, LauncherState, Observation, Phase
from appliance.reconcile.entry import Verdict
from appliance.reconcile.observed import Observed
from appliance.reconcile.order import WAITS_S, Order
from appliance.schema.instances import ChangeInstance
from tests.contract.rig import spec_of
from tests.service_rig import Rig, service_rig

NOW = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture
async def rig(home: Path) -> AsyncIterator[Rig]:
    async with service_rig(home) as rig:
        yield rig


async def after(rig: Rig, instance_id: str, *names: str) -> tuple[str, ...]:
    body = ChangeInstance(launcher_settings={"startAfter": list(names)})
    await rig.instances.change(rig.admin, instance_id, body)
    return (await rig.spec(instance_id)).after


async def test_names_become_ids_and_rings_are_refused(rig: Rig) -> None:
    one, two, three = [await rig.create(name) for name in ("one", "two", "three")]
    assert await after(rig, two.id, "ONE", one.id, "broker") == (one.id, "broker")
    assert await after(rig, three.id, "two") == (two.id,)
    with pytest.raises(Invalid, match="would wait for itself"):
        await after(rig, one.id, "three")
    with pytest.raises(Invalid, match="would wait for itself"):
        await after(rig, one.id, "one")
    with pytest.raises(Invalid, match="no instance 'nobody' in this team"):
        await after(rig, one.id, "nobody")
    assert (await rig.spec(one.id)).after == ()
    await rig.instances.change(rig.admin, two.id, ChangeInstance(launcher_settings={"startAfter": None}))
    assert (await rig.spec(two.id)).after == ()
    assert await after(rig, one.id, "three") == (three.id,), "the ring is open"


class World:
    """Two instances, the second after the first and the broker, and a clock."""

    def __init__(self) -> None:
        self.now, self.broker = 0.0, True
        self.observed = Observed(Bus(), lambda: NOW)
        self.first = replace(spec_of("first"), desired=Desired.RUNNING)
        self.second = replace(spec_of("second"), after=("first", "broker"))
        self.order = Order(self.observed, lambda: self.broker, lambda: self.now)
        self.observed.know(self.first)

    def says(self, state: LauncherState) -> None:
        self.observed.seen(Observation(id="first", phase=Phase.UP, pid=7))
        report = LauncherReport(state, 0, 7, None, 1, {}, "", "", NOW)
        self.observed.report("first", report)

    def waits(self) -> str:
        verdict = self.order.refusal(self.second)
        return verdict.message if verdict else ""


def test_one_waits_until_the_other_runs() -> None:
    world = World()
    assert "waiting for first" in world.waits() or world.first.name in world.waits()
    world.says(LauncherState.STARTING)
    assert world.waits()
    world.says(LauncherState.RUNNING)
    assert not world.waits()
    world.broker = False
    assert "the message broker" in world.waits()


@pytest.mark.parametrize("state", [LauncherState.SAFE, LauncherState.CRASHED])
def test_nobody_waits_for_one_that_has_come_as_far_as_it_will(state: LauncherState) -> None:
    world = World()
    world.says(state)
    assert not world.waits()


def test_nobody_waits_for_one_that_is_not_wanted_gone_or_given_up() -> None:
    world = World()
    world.observed.know(replace(world.first, desired=Desired.SUSPENDED))
    assert not world.waits()
    world.observed.know(world.first)
    assert world.waits()
    world.observed.judged("first", Verdict("stack_missing", "", gave_up=True))
    assert not world.waits()
    world.observed.forget("first")
    assert not world.waits()


def test_the_wait_has_an_end() -> None:
    world = World()
    assert world.waits()
    world.now = WAITS_S - 1
    assert world.waits()
    world.now = WAITS_S
    assert not world.waits()
