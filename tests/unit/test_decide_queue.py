"""The keyed queue and the turns for starting."""

from __future__ import annotations

import asyncio

from appliance.reconcile.queue import KeyedQueue
from appliance.reconcile.starts import Starts
from tests.support import eventually


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
