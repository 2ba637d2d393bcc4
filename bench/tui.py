"""The screens: time to the first one, bytes on the wire, keys under load, the log view, and what idling costs.

A box is played by the tests' small server; the screens are the real command on a real pseudo-terminal, except for the
log view, which is filled directly.
"""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import quantiles

import psutil

from bench.report import Figure
from tests.support import eventually
from tests.tui.fakebox import FakeBox
from tests.tui.test_terminal import Terminal, terminal

RUNS = 5
ROWS = 200
BUSY_ROWS = 500
CHANGES_S = 20  # state changes a second
KEYS = 60
LINES = 100_000
BATCH = 500
MB = 1024 * 1024
IDLE_S = 20.0


def tui() -> list[Figure]:
    """All figures of the screens."""
    parts: tuple[Callable[[], Awaitable[list[Figure]]], ...] = (_first_screen, _wire, _keys, _idle)
    found: list[Figure] = []
    for part in parts:
        found += asyncio.run(_run(part))
    return [*found, *asyncio.run(_log_view())]


async def _run(part: Callable[[], Awaitable[list[Figure]]]) -> list[Figure]:
    return await part()


@asynccontextmanager
async def _box(rows: int) -> AsyncIterator[tuple[FakeBox, Path]]:
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as scratch:
        home = Path(scratch)
        box = FakeBox(home / "run" / "api.sock")
        for number in range(rows):
            state = ("running", "running", "stopped", "crashed")[number % 4]
            box.add(f"line-{number:03d}", state, "exit 1" if state == "crashed" else "")
        await box.start()
        try:
            yield box, home
        finally:
            await box.stop()


async def _first_screen() -> list[Figure]:
    runs = []
    async with _box(20) as (_, home):
        for _run in range(RUNS):
            started = time.monotonic()
            async with terminal(home) as line:
                await eventually(lambda line=line: "line-010" in line.text, 15, every_s=0.005)  # type: ignore[misc]
                runs.append(time.monotonic() - started)
    return [Figure("tui: first useful screen", runs, limit=0.7)]


async def _wire() -> list[Figure]:
    async with _box(ROWS) as (_, home), terminal(home, SSH_CONNECTION="a 1 b 2") as line:
        await eventually(lambda: "line-010" in line.text, 15)
        await line.quiet(1.5)
        first = float(len(line.wire))
        moves = [float(await line.bytes_of(b"j")) for _ in range(5)]
        pages = [float(await line.bytes_of(b"\x1b[6~")) for _ in range(5)]
    return [
        Figure("tui, slow line: first screen", [first], limit=16_000, unit="B"),
        Figure("tui, slow line: cursor down", moves, limit=500, unit="B"),
        Figure("tui, slow line: page down", pages, limit=5_000, unit="B"),
    ]


async def _keys() -> list[Figure]:
    async with _box(BUSY_ROWS) as (box, home), terminal(home) as line:
        await eventually(lambda: "line-010" in line.text, 15)
        await line.quiet()
        changing = asyncio.create_task(_change(box))
        try:
            took = [await _key(line, at) for at in range(KEYS)]
        finally:
            changing.cancel()
    p95 = quantiles(took, n=20)[-1]
    return [Figure("tui: key to repaint, p95, 500 rows, 20 changes/s", [p95], limit=0.05)]


async def _change(box: FakeBox) -> None:
    """Twenty state changes a second, all over the list, also in the part that is shown."""
    number = 0
    while True:
        each = box.instances[(number * 7) % BUSY_ROWS]
        box.set_state(each["id"], ("starting", "running")[number % 2])
        number += 1
        await asyncio.sleep(1 / CHANGES_S)


async def _key(line: Terminal, at: int) -> float:
    """From a key to the cursor's row in reverse video under it."""
    await asyncio.sleep(0.13 + 0.01 * (at % 7))  # beside the rhythm of the repaints
    mark, started = len(line.wire), time.monotonic()
    down = at % 12 < 6
    line.press(b"j" if down else b"k")
    while b"\x1b[7m>" not in line.wire[mark:]:
        if time.monotonic() - started > 5:
            raise AssertionError("the cursor did not move")
        await asyncio.sleep(0)
    return time.monotonic() - started


async def _idle() -> list[Figure]:
    async with _box(20) as (_, home), terminal(home) as line:
        await eventually(lambda: "line-010" in line.text, 15)
        await line.quiet()
        process = psutil.Process(line.process.pid)
        before = sum(process.cpu_times()[:2])
        await asyncio.sleep(IDLE_S)
        used = 100 * (sum(process.cpu_times()[:2]) - before) / IDLE_S
        pss = process.memory_full_info().pss / MB
    return [
        Figure("tui: idle, of a core", [used], limit=1.0, unit="%"),
        Figure("tui: memory (PSS)", [pss], limit=60.0, unit="MB"),
    ]


async def _log_view() -> list[Figure]:
    from textual.app import App, ComposeResult

    from tui.profile import Profile
    from tui.theme import Theme
    from tui.widgets.log_view import LogView
    from tui.widgets.ring import Ring

    class Shown(App[None]):
        def compose(self) -> ComposeResult:
            yield LogView(Theme(Profile()), Ring())

    app = Shown()
    async with app.run_test(size=(80, 24)) as pilot:
        view = app.query_one(LogView)
        gc.collect()
        before = _resident()
        batches = [_lines(at) for at in range(0, LINES, BATCH)]
        texts = _resident() - before
        started = time.monotonic()
        for batch in batches:
            view.append(batch)
            await asyncio.sleep(0)
        took = time.monotonic() - started
        await pilot.pause()
        kept = _resident() - before
        scrolls = [await _scroll(view, pilot) for _ in range(40)]
    return [
        Figure("tui: 100,000 log lines in", [took], limit=1.0),
        Figure("tui: 100,000 log lines kept, texts among them", [kept / MB], limit=25.0, unit="MB"),
        Figure("tui: of these the texts alone", [texts / MB], unit="MB"),
        Figure("tui: scrolling while following, p95", [quantiles(scrolls, n=20)[-1]], limit=0.05),
    ]


async def _scroll(view: object, pilot: object) -> float:
    """A page up, while lines go on coming."""
    started = time.monotonic()
    view.append(_lines(0))  # type: ignore[attr-defined]
    view.scroll_lines(-view.page())  # type: ignore[attr-defined]
    await pilot.pause()  # type: ignore[attr-defined]
    return time.monotonic() - started


def _lines(start: int) -> list[str]:
    return [
        f"12:00:{at % 60:02d} info   [function:calc] line {at:06d} " + "x" * 40 for at in range(start, start + BATCH)
    ]


def _resident() -> int:
    rss: int = psutil.Process().memory_info().rss
    return rss
