"""The platform's screens on a real pseudo-terminal, from a real box: bytes on the wire, and the end of the terminal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from tests.people_box import People, people_box
from tests.support import eventually
from tests.tui.bad_line import BadLine, bad_line
from tests.tui.test_terminal import GONE_S, Terminal, terminal
from tui.screens.registry import PLACES

pytestmark = pytest.mark.timeout(150)
ROWS = 200
FIRST, MOVE, PAGE = 16_000, 500, 5_000  # bytes
NOT_MEASURED = {"inst", "create", "help", "box"}  # measured elsewhere, forms, and what is no list of the box's


@pytest.fixture
async def people(home: Path) -> AsyncIterator[People]:
    async with people_box(home) as found:
        await found.box.instance("plant-a")
        await found.add("vera")
        yield found


@pytest.fixture
async def line(people: People, tmp_path: Path) -> AsyncIterator[BadLine]:
    """A line to the box that `weir` finds under `tmp_path / "far"`."""
    far = tmp_path / "far"
    (far / "run").mkdir(parents=True)
    async with bad_line(people.box.context.home.api_socket, far / "run" / "api.sock") as found:
        yield found


async def test_the_platforms_screens_are_few_bytes_over_ssh(line: BadLine, tmp_path: Path) -> None:
    """Of every screen of the registry that is not about an instance: going there, a line down, a page down."""
    line.many = ROWS
    dear = {}
    async with terminal(tmp_path / "far", SSH_CONNECTION="a 1 b 2") as screen:
        await eventually(lambda: "plant-a" in screen.text, 15)
        await screen.quiet(1.0)
        for place in [each for each in PLACES if not each.about and each.word not in NOT_MEASURED]:
            before = len(screen.wire)
            screen.press(f":{place.word}\r".encode())
            await eventually(lambda: place.word in shown_since(screen, before), what=place.word)  # noqa: B023 - at once
            await screen.quiet(0.7)
            cost = [len(screen.wire) - before, await costs(screen, b"j"), await costs(screen, b"\x1b[6~")]
            if not (cost[0] <= FIRST and cost[1] <= MOVE and cost[2] <= PAGE):
                dear[place.word] = cost
        screen.press(b"\x03")
        await asyncio.wait_for(screen.process.wait(), 10)
    assert not dear, dear


async def costs(screen: Terminal, key: bytes) -> int:
    before = len(screen.wire)
    screen.press(key)
    await screen.quiet(0.6)
    return len(screen.wire) - before


def shown_since(screen: Terminal, at: int) -> str:
    return screen.wire[at:].decode("utf-8", "replace")


# What the screens are at when the terminal goes: keys, and what is then on the screen.
AT = {
    "a prompt over the audit log": (b":audit\r", b"w", "entr"),
    "a form": (b":teamtypes\r", b"c", "new type of teams"),
    "the editor": (b":apps\r", b"e", "^S take"),
    "the wizard": (b":create\r", b"", "make it and start it"),
    "the host, asked for again and again": (b":host\r", b"", "processors"),
}


@pytest.mark.parametrize("where", AT)
async def test_the_end_of_the_terminal_ends_the_process_wherever_it_is(
    line: BadLine, tmp_path: Path, where: str
) -> None:
    go, then, seen = AT[where]
    async with terminal(tmp_path / "far", controlling=False) as screen:
        await eventually(lambda: "plant-a" in screen.text, 15)
        screen.press(go)
        await screen.quiet(0.3)
        screen.press(then)
        await eventually(lambda: seen in screen.text, what=screen.text[-2000:])
        started = time.monotonic()
        screen.close()
        await asyncio.wait_for(screen.process.wait(), GONE_S)
        assert time.monotonic() - started < GONE_S


async def test_it_ends_while_the_box_does_not_answer(line: BadLine, tmp_path: Path) -> None:
    async with terminal(tmp_path / "far") as screen:
        await eventually(lambda: "plant-a" in screen.text, 15)
        line.delay_s = 30
        screen.press(b":users\r")
        await eventually(lambda: "asking the box" in screen.text)
        screen.close()
        await asyncio.wait_for(screen.process.wait(), GONE_S)


async def test_a_line_that_nobody_reads_and_a_box_that_is_gone_cost_no_processor(line: BadLine, tmp_path: Path) -> None:
    """The link died without a word: the screens wait for sshd to notice, and do nothing meanwhile."""
    async with terminal(tmp_path / "far") as screen:
        await eventually(lambda: "plant-a" in screen.text, 15)
        screen.press(b":host\r")
        await eventually(lambda: "processors" in screen.text)
        await line.down()
        await eventually(lambda: "what you see is old" in screen.text)
        asyncio.get_running_loop().remove_reader(screen.master)
        for _ in range(60):
            screen.press(b"gG")  # repaints fill the line
        process = psutil.Process(screen.process.pid)
        await asyncio.sleep(1)
        before = sum(process.cpu_times()[:2])
        await asyncio.sleep(3)
        used_s = sum(process.cpu_times()[:2]) - before
        assert used_s < 0.3, f"{used_s} s of CPU in 3 s"
        screen.close()
        await asyncio.wait_for(screen.process.wait(), GONE_S)
