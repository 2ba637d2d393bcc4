"""The queue of reports: what is kept, retried and given up while the appliance is away or unwell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from launcher import appliance
from launcher.appliance import QUEUE_BYTES, Appliance
from launcher.schema import State, StateReport
from tests.launcher_rig import FakeAppliance
from tests.support import eventually


def report(seq: int, state: State = State.RUNNING) -> StateReport:
    return StateReport(state, seq, 1, None, 0, {}, "", "", "2026-01-01T00:00:00.000+00:00")


@pytest.fixture
async def fake() -> AsyncIterator[FakeAppliance]:
    made = FakeAppliance("i1")
    await made.open()
    yield made
    await made.close()


@pytest.fixture
async def client(fake: FakeAppliance, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Appliance]:
    monkeypatch.setattr(appliance, "RETRY_CAP_S", 0.005)
    made = Appliance(fake.url, "i1")
    await made.boot("ticket-1")
    delivering = asyncio.create_task(made.deliver())
    yield made
    delivering.cancel()


async def test_the_newest_state_is_told_however_long_the_appliance_is_unwell(
    fake: FakeAppliance, client: Appliance
) -> None:
    """A report given up left the instance `starting` for ever (instance protocol L12)."""
    fake.unwell = 40
    client.report(report(1))
    await eventually(lambda: [each["seq"] for each in fake.states] == [1])


async def test_what_the_appliance_cannot_take_holds_up_nothing_behind_it(
    fake: FakeAppliance, client: Appliance
) -> None:
    fake.unwell = 25
    client.audit({"event": "crashed"})
    client.report(report(1))
    client.report(report(2))
    await eventually(lambda: [each["seq"] for each in fake.states] == [1, 2])
    assert not fake.audits


async def test_an_absent_appliance_costs_no_more_than_the_bound_and_never_the_newest_state(
    fake: FakeAppliance,
) -> None:
    client = Appliance(fake.url, "i1")
    for number in range(300):
        client.audit({"event": "crashed", "__launcherLog": ["x" * 30_000]})
        client.report(report(number))
    assert client.waiting_bytes <= QUEUE_BYTES
    await client.boot("ticket-1")
    delivering = asyncio.create_task(client.deliver())
    assert await client.flush(10)
    delivering.cancel()
    sequence = [each["seq"] for each in fake.states]
    assert sequence == sorted(sequence) and sequence[-1] == 299 and len(sequence) >= 150
