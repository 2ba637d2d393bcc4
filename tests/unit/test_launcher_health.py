"""When a silent Node-RED is taken for wedged, and why one ended."""

from __future__ import annotations

import asyncio

import pytest

from launcher import health, http
from launcher.diagnosis import diagnose
from launcher.memory import Kills
from launcher.process import Exit


async def test_a_busy_flow_that_answers_now_and_then_is_left_alone() -> None:
    """FlowFuse's launcher killed a flow that was busy for 22 s (instance protocol L13)."""
    assert 2 * health.FAILURES * health.INTERVAL_S >= 60
    answers = iter([True, False, False, True, False, False, True, False, False, False])
    asked = 0

    async def probe() -> bool:
        nonlocal asked
        asked += 1
        return next(answers)

    await asyncio.wait_for(health.watch(probe, interval_s=0.001), 5)
    assert asked == 10, "three in a row end it, no fewer"


@pytest.mark.parametrize(
    ("share", "asked"),
    [(0.0, health.FAILURES), (0.1, health.FAILURES), (0.9, health.BUSY_FAILURES)],
    ids=["asleep", "hardly at work", "at work"],
)
async def test_a_loop_that_computes_is_given_more_time_than_one_that_sleeps(share: float, asked: int) -> None:
    probes = 0

    async def probe() -> bool:
        nonlocal probes
        probes += 1
        return False

    loop = asyncio.get_running_loop()
    computed = health.watch(probe, lambda: share * loop.time(), interval_s=0.001)
    assert await asyncio.wait_for(computed, 5) == asked == probes


async def test_work_does_not_add_up_over_an_answer() -> None:
    answers = iter([*[False] * 9, True, *[False] * 10])

    async def probe() -> bool:
        return next(answers)

    loop = asyncio.get_running_loop()
    assert await asyncio.wait_for(health.watch(probe, loop.time, interval_s=0.001), 5) == 10


@pytest.mark.parametrize(
    ("before", "after", "reason", "words"),
    [
        (Kills(1, 1), Kills(2, 2), "out_of_memory", "more memory than it is allowed. Put it on a stack with more"),
        (Kills(1, 1), Kills(2, 2, 256 << 20), "out_of_memory", "than it is allowed: 256 MB. Put it on a stack"),
        (Kills(0, 1), Kills(0, 2), "out_of_memory", "most likely"),
        (Kills(3, 4), Kills(3, 4), "killed", "not for want of memory"),
        (Kills(0, None), Kills(0, None), "killed", "may be out of memory"),
    ],
)
def test_who_killed_it(before: Kills, after: Kills, reason: str, words: str) -> None:
    told = diagnose(Exit(None, "SIGKILL"), [], before, after)
    assert told[0] == reason and words in told[1]


@pytest.mark.parametrize(
    ("ended", "tail", "reason"),
    [
        (
            Exit(None, "SIGABRT"),
            [b"FATAL ERROR: Reached heap limit Allocation failed - heap out of memory"],
            "out_of_memory",
        ),
        (Exit(None, "SIGKILL"), [], "killed"),
        (Exit(None, "SIGSEGV"), [], "signal"),
        (Exit(0, None), [], "exited"),
        (Exit(75, None), [b"heap out of memory"], "no_flows"),
        (Exit(1, None), [b'{"msg":"Uncaught Exception:"}'], "uncaught_exception"),
        (Exit(7, None), [], "crashed"),
    ],
)
def test_why_it_ended(ended: Exit, tail: list[bytes], reason: str) -> None:
    assert diagnose(ended, tail)[0] == reason


def test_a_flow_that_ends_with_our_own_status_has_crashed() -> None:
    """Only a Node-RED that never came up can be without its flows."""
    assert diagnose(Exit(75, None), [], served=True)[0] == "crashed"


async def test_a_request_that_cannot_be_written_down_is_no_crash() -> None:
    """A token for `logout` may hold anything; the worker that sends it must live on."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for bad in ("Bearer gr\u00fc\u00df", "Bearer a\r\nX: y"):
        with pytest.raises(http.Unreachable):
            await http.request("POST", f"http://127.0.0.1:{port}/", headers={"Authorization": bad}, timeout_s=5)
    server.close()
    await server.wait_closed()
