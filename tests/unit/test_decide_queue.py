"""The keyed queue and the turns for starting."""

from __future__ import annotations

import asyncio
import os
import time

import pytest

from appliance.reconcile.memory import Memory
from appliance.reconcile.queue import KeyedQueue
from appliance.reconcile.starts import Starts
from appliance.system.load import IdleCpus
from tests.support import eventually
from tests.unit.test_decide import spec_of


async def test_a_key_is_in_it_once() -> None:
    queue = KeyedQueue()
    for _ in range(5):
        queue.poke("a")
    assert await queue.take() == "a"
    queue.done("a")
    assert queue.idle()


async def test_a_key_that_is_worked_on_waits() -> None:
    queue = KeyedQueue()
    queue.poke("a")
    await queue.take()
    queue.poke("a")
    queue.poke("b")
    assert await queue.take() == "b"
    taking = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    assert not taking.done()
    queue.done("a")
    assert await taking == "a"


async def test_later_comes_and_sooner_wins() -> None:
    queue = KeyedQueue()
    queue.poke_after("a", 30)
    queue.poke_after("a", 0.01)
    queue.poke_after("a", 60)
    async with asyncio.timeout(2):
        assert await queue.take() == "a"
    queue.done("a")
    queue.close()
    assert queue.idle()


async def test_poke_makes_later_needless() -> None:
    queue = KeyedQueue()
    queue.poke_after("a", 0.01)
    queue.poke("a")
    assert await queue.take() == "a"
    queue.done("a")
    assert queue._later == {}


async def test_turns_go_round() -> None:
    called: list[str] = []
    starts = Starts(1, called.append)
    assert starts.take("a")
    assert not starts.take("b")
    assert not starts.take("c")
    assert starts.take("a"), "its own turn again"
    starts.settled("a")
    assert called == ["b"]
    starts.declined("b")  # it was suspended meanwhile
    assert called == ["b", "c"]
    assert starts.take("c")
    starts.close()


async def test_a_turn_ends_by_itself() -> None:
    called: list[str] = []
    starts = Starts(1, called.append, held_s=0.01)
    starts.take("a")
    starts.take("b")
    await eventually(lambda: called == ["b"])
    starts.close()


async def test_idle_processors_let_more_start_and_busy_ones_do_not() -> None:
    called: list[str] = []
    idle = 0.0
    starts = Starts(3, called.append, lambda: idle)
    assert starts.take("a")
    for key in "bcd":
        assert not starts.take(key)
    await asyncio.sleep(0.35)
    assert called == []
    idle = 1.0
    await eventually(lambda: called == ["b", "c"])
    await asyncio.sleep(0.35)
    assert called == ["b", "c"], "three at most"
    assert starts.take("b")
    starts.settled("a")
    await eventually(lambda: called == ["b", "c", "d"])
    starts.close()


async def test_lower_numbers_first_then_who_asked_first() -> None:
    called: list[str] = []
    starts = Starts(9, called.append, lambda: 2.0)
    starts.take("x", 5)
    for key, rank in (("c", 3), ("b", 2), ("b2", 2), ("a", 1)):
        starts.take(key, rank)
    await eventually(lambda: called == ["a", "b", "b2", "c"])
    starts.close()


MIB = 2**20


@pytest.mark.parametrize(
    ("free", "peak", "starting", "refused"),
    [
        (300, 200, [], None),
        (250, 200, [], "needs about 200 MB by its last run"),
        (250, None, [], None),
        (200, None, [], "needs about 160 MB as others do"),
        (500, 200, ["other"], None),
        (400, 200, ["other"], "waiting until"),
        (400, 200, ["a"], None),  # itself
        (None, 10**6, [], None),  # a kernel that does not say
    ],
)
def test_memory_that_a_start_needs(
    free: int | None, peak: int | None, starting: list[str], refused: str | None
) -> None:
    memory = Memory(lambda: free * MIB if free else None, lambda _: peak * MIB if peak else None)
    short = memory.short(spec_of(), starting)
    assert (short is None) == (refused is None)
    if short is not None and refused is not None:
        assert refused in short.message
        assert short.passing == (refused == "waiting until")


def test_what_a_leak_once_took_keeps_nobody_down_who_is_alone() -> None:
    memory = Memory(lambda: 500 * MIB, lambda _: 900 * MIB)
    assert memory.short(spec_of(), []) is not None
    assert memory.short(spec_of(), [], alone=True) is None


def _stat(*rows: tuple[int, ...]) -> str:
    return "cpu  1 2 3\n" + "".join(f"cpu{n} {' '.join(map(str, row))}\n" for n, row in enumerate(rows)) + "intr 5\n"


def test_idle_processors_are_counted_between_two_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    texts = iter(
        [
            _stat((0,) * 8, (0,) * 8, (0,) * 8),
            _stat((10, *[0] * 7), (0, 0, 0, 10, *[0] * 4), (0, 0, 0, 10, *[0] * 4)),  # the third is not ours
            _stat((20, *[0] * 7), (0, 0, 0, 10, 10, *[0] * 3), (0, 0, 0, 20, *[0] * 4)),  # it waits for the disk
            _stat((20, *[0] * 7), (0, 0, 0, 10, 10, *[0] * 3), (0, 0, 0, 30, *[0] * 4)),  # no time has passed
            "nonsense",
        ]
    )
    idle = IdleCpus(lambda: next(texts))
    assert [idle() for _ in range(5)] == [None, 1.0, 0.0, None, None]


def test_idle_processors_of_this_machine() -> None:
    idle = IdleCpus()
    assert idle() is None
    deadline = time.monotonic() + 5
    while (seen := idle()) is None and time.monotonic() < deadline:
        pass
    assert seen is not None
    assert 0 <= seen <= len(os.sched_getaffinity(0))
