"""What the reconciler heals by itself: launchers that end, freeze or hang, and starts that can't be."""

from __future__ import annotations

import asyncio
import os
import signal
from datetime import timedelta
from pathlib import Path

import pytest

from appliance.model import Desired
from tests.contract.rig import gone
from tests.reconcile_box import A, box_on, swept
from tests.support import eventually

__all__ = ["swept"]
pytestmark = pytest.mark.usefixtures("swept")


async def test_killed_launcher_comes_back_at_once_when_it_was_healthy(home: Path) -> None:
    async with box_on(home, chance=0.999) as box:
        states: list[str] = []
        box.bus.listen(lambda event: states.append(event.body.meta.state))  # type: ignore[attr-defined]
        box.want()
        pid = await box.placed()
        box.says(pid)
        await eventually(box.queue.idle)
        began = asyncio.get_running_loop().time()
        os.kill(pid, signal.SIGKILL)
        again = await box.placed(other_than=pid)
        assert asyncio.get_running_loop().time() - began < 5
        assert "crashed" in states
        await eventually(lambda: box.meta().restarts == 1)
        box.says(again)
        await eventually(box.queue.idle)
        os.kill(again, signal.SIGKILL)  # once more: with a pause, of which people are told
        meta = await eventually(lambda: (m := box.meta()).next_try_at and m)
        assert (meta.state, meta.reason) == ("crashed", "launcher_exited")


async def test_a_clock_that_is_set_back_while_a_launcher_is_placed_ends_none(home: Path) -> None:
    """A box without a battery hears the time while its instances start: none of them has been silent for an hour."""
    async with box_on(home) as box:

        def set_back() -> None:
            box.set_by = timedelta(hours=-1)

        box.while_placing = set_back
        box.want()
        pid = await box.placed()
        await eventually(box.queue.idle)
        assert box.launchers.asked == 0, "nobody took it for silent"
        box.says(pid)
        await eventually(lambda: box.meta().state == "running")
        assert (await box.placed(), box.tickets) == (pid, 1)


async def test_a_launcher_that_lives_and_does_not_answer_is_replaced(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frozen or wedged: asked again and again, a moment's trouble is forgiven."""
    monkeypatch.setattr("appliance.reconcile.decide.ASK_EVERY", timedelta(seconds=0.2))
    monkeypatch.setattr("appliance.reconcile.decide.ASK_AGAIN", timedelta(seconds=0.2))
    monkeypatch.setattr("appliance.reconcile.controller.ASK_EVERY", timedelta(seconds=0.2))
    monkeypatch.setattr("appliance.reconcile.controller.ASK_AGAIN", timedelta(seconds=0.2))
    monkeypatch.setattr("appliance.reconcile.backoff.MISS_APART", timedelta(seconds=0.2))
    async with box_on(home) as box:
        box.want()
        pid = await box.placed()
        box.says(pid)
        await eventually(lambda: box.launchers.asked >= 2)
        box.launchers.deaf = True
        meta = await eventually(lambda: (m := box.meta()).reason == "launcher_unreachable" and m, every_s=0.005)
        assert meta.state == "running"  # its Node-RED serves meanwhile
        assert "did not answer" in meta.message
        box.launchers.deaf = False
        await eventually(lambda: box.meta().reason == "")
        assert await box.placed() == pid
        os.kill(pid, signal.SIGSTOP)
        box.launchers.deaf = True
        await box.placed(other_than=pid)
        await gone({pid})


async def test_no_launcher_is_stuck_in_a_phase_for_ever(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """D12: `starting` shown for ever, because a report got lost or nobody had a deadline."""
    monkeypatch.setattr("appliance.reconcile.decide.SLACK_S", 0.3)
    async with box_on(home, patience_s=0.2) as box:
        box.want()
        pid = await box.placed()
        box.says(pid, "starting")
        assert box.meta().state == "starting"
        after = await box.placed(other_than=pid)
        box.says(after)
        assert box.meta().state == "running"


async def test_a_slow_launcher_is_neither_replaced_nor_given_a_second_ticket(home: Path) -> None:
    """D2: one slow answer, and a second launcher was started beside the healthy one, with its tokens dead."""
    async with box_on(home) as box:
        box.want()
        pid = await box.placed()
        box.says(pid)
        tickets = box.tickets
        box.launchers.deaf = True
        for _ in range(3):
            await box.reconciler.resync()
            await eventually(box.queue.idle)
        assert (await box.placed(), box.tickets) == (pid, tickets)
        assert box.meta().state == "running"


async def test_a_failure_is_shown_and_what_is_wanted_stays(home: Path) -> None:
    """D13: the stored wish is not what is shown; what cannot be done is, until it can."""
    async with box_on(home) as box:
        (home / "instances").mkdir(parents=True, exist_ok=True)
        blocked = home / "instances" / A
        blocked.write_text("in the way")
        box.want()
        meta = await eventually(lambda: (m := box.meta()).reason == "directory" and m)
        assert meta.state == "starting"
        assert box.database.rows[A].desired is Desired.RUNNING
        blocked.unlink()
        pid = await box.placed()
        box.says(pid)
        assert (box.meta().state, box.meta().reason) == ("running", "")


async def test_stop_and_start_in_one_breath_is_one_launcher(home: Path) -> None:
    """D1: a start right behind a stop met the port of what was still ending."""
    async with box_on(home, "stubborn") as box:
        box.want()
        pid = await box.placed()
        box.says(pid)
        await eventually(lambda: (home / "instances" / A / "seen.json").exists())
        box.want(desired=Desired.SUSPENDED)
        await eventually(lambda: box.meta().state in ("suspending", "suspended"))
        box.want(desired=Desired.RUNNING, generation=2)
        after = await box.placed(generation=2)
        assert after != pid
        await gone({pid})
        assert len(await box.driver.list()) == 1


async def test_a_launcher_that_disappears_is_not_starting_for_ever(home: Path) -> None:
    """D9: gone while nobody looked, with its record: the resync finds it."""
    async with box_on(home) as box:
        box.want()
        pid = await box.placed()
        box.says(pid)
        (home / "instances" / A / "launcher" / "placement.json").unlink()
        os.kill(pid, signal.SIGKILL)
        await box.placed(other_than=pid)


async def test_a_start_that_memory_would_not_hold_is_refused_until_it_does(home: Path) -> None:
    async with box_on(home) as box:
        box.memory_bytes = 120 << 20
        box.want()
        meta = await eventually(lambda: (m := box.meta()).reason == "memory_short" and m)
        assert meta.state == "error"
        assert "needs about 100 MB by its last run" in meta.message
        assert "120 MB are" in meta.message
        assert await box.driver.list() == []
        box.memory_bytes = 1 << 30
        pid = await box.placed()
        box.says(pid)
        assert (box.meta().state, box.meta().reason) == ("running", "")


async def test_what_ran_a_moment_ago_is_not_refused_memory(home: Path) -> None:
    async with box_on(home) as box:
        box.want()
        pid = await box.placed()
        box.says(pid)
        await eventually(box.queue.idle)
        box.memory_bytes = 1 << 20
        box.want(generation=2)  # replaced
        pid = await box.placed(generation=2)
        box.says(pid)
        await eventually(box.queue.idle)
        os.kill(pid, signal.SIGKILL)
        await box.placed(generation=2, other_than=pid)
