"""When a silent Node-RED is taken for wedged, and why one ended."""

from __future__ import annotations

import asyncio

import pytest

from launcher import health, http
from launcher.diagnosis import diagnose
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


async def test_a_request_that_cannot_be_written_down_is_no_crash() -> None:
    """A token for `logout` may hold anything; the worker that sends it must live on."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for bad in ("Bearer gr\u00fc\u00df", "Bearer a\r\nX: y"):
        with pytest.raises(http.Unreachable):
            await http.request("POST", f"http://127.0.0.1:{port}/", headers={"Authorization": bad}, timeout_s=5)
    server.close()
    await server.wait_closed()
