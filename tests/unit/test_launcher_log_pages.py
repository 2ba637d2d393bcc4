"""Pages of a log: every entry once, in order, without a gap, whatever happens between two pages."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher import loglines
from launcher.loglines import Log
from launcher.segments import Entry, Segments

START_S = 1_800_000_000.0
LINES = st.tuples(st.just("lines"), st.integers(1, 60))
STEP = st.tuples(st.just("clock"), st.integers(-100_000, 100_000))
RESTART = st.tuples(st.sampled_from(["restart", "crash"]), st.just(0))
LIFE = st.lists(st.one_of(LINES, LINES, STEP, RESTART), min_size=1, max_size=12)


class Life:
    """A log that lives through restarts, crashes and steps of the clock, and all it was told."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.now_s = START_S
        self.told: list[str] = []
        self.log = self._open()

    def _open(self) -> Log:
        segments = Segments(self.directory, segment_bytes=1500, total_bytes=10_000_000)
        return Log(segments, "abcd", lambda: self.now_s)

    async def go_on(self, what: str, number: int) -> None:
        if what == "lines":
            for _ in range(number):
                self.told.append(f"line {len(self.told)} " + "x" * (len(self.told) * 7 % 90))
                self.log.output(self.told[-1].encode())
                self.now_s += 0.0001
        elif what == "clock":
            self.now_s = max(1.0, self.now_s + number)
        elif what == "restart":
            self.log.close()
            self.log = self._open()
        else:
            await self.log.forward(0, 1)  # what was still in memory would be lost, and is no matter of pages
            self.log.close()
            for newest in sorted(self.directory.glob("*.ndjson"))[-1:]:
                with newest.open("ab") as file:
                    file.write(b'{"ts":"99')  # the power went in the middle of a line
            self.log = self._open()


async def forwards(log: Log, limit: int) -> list[str]:
    found: list[str] = []
    cursor = "0" * 17
    while logs := (page := await log.page(cursor, limit)).logs:
        assert len(logs) <= limit
        found += [json.loads(bytes(raw))["ts"] for raw in logs]
        assert page.meta.next_cursor is not None
        cursor = page.meta.next_cursor
    return found


async def backwards(log: Log, limit: int) -> list[str]:
    found: list[str] = []
    cursor = ""
    while logs := (page := await log.page(cursor, limit)).logs:
        assert len(logs) <= limit
        found[:0] = [json.loads(bytes(raw))["ts"] for raw in logs]
        assert page.meta.previous_cursor is not None
        cursor = page.meta.previous_cursor
    return found


async def live_and_read(life: list[tuple[str, int]], sizes: tuple[int, int]) -> None:
    with tempfile.TemporaryDirectory() as made:
        one = Life(Path(made))
        try:
            for what, number in life:
                await one.go_on(what, number)
            everything = await one.log.forward(0, 10_000)
            assert [json.loads(line.body)["msg"] for line in everything] == one.told
            cursors = [line.cursor for line in everything]
            assert cursors == sorted(set(cursors))
            assert await forwards(one.log, sizes[0]) == cursors
            assert await backwards(one.log, sizes[1]) == cursors
        finally:
            one.log.close()


@settings(max_examples=60)
@given(life=LIFE, sizes=st.tuples(st.integers(1, 40), st.integers(1, 40)))
def test_every_entry_once_in_order_in_both_directions(life: list[tuple[str, int]], sizes: tuple[int, int]) -> None:
    with mock.patch.object(loglines, "RING_LINES", 25):
        asyncio.run(live_and_read(life, sizes))


class Flooded(Segments):
    """While a page is read from disk the flow goes on writing, more than the ring holds."""

    flood: Log | None = None

    async def read(self, start: int | None, end: int | None, limit: int) -> list[Entry]:
        found = await super().read(start, end, limit)
        if self.flood is not None:
            for number in range(100):
                self.flood.output(b"flood %d" % number)
            self.flood = None
        return found


async def test_a_flood_while_a_page_is_read_makes_no_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loglines, "RING_LINES", 25)
    segments = Flooded(tmp_path)
    log = Log(segments, "abcd", lambda: START_S)
    try:
        for number in range(40):
            log.output(b"line %d" % number)
        segments.flood = log
        page = await log.forward(0, 500)
        rest = await log.forward(page[-1].stamp + 1, 500)
        said = [json.loads(line.body)["msg"] for line in page + rest]
        assert said == [f"line {n}" for n in range(40)] + [f"flood {n}" for n in range(100)]
    finally:
        log.close()
