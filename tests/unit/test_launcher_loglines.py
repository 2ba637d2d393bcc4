"""Log lines: cutting, stamping, ring, segments, cursors."""

from __future__ import annotations

import asyncio
import json
import os
import resource
from pathlib import Path
from typing import Any

import pytest

from launcher.loglines import LINE_BYTES, RING_BYTES, RING_LINES, SUBSCRIBER_LINES, Log, Splitter
from launcher.segments import Segments
from tests.support import eventually


class Clock:
    def __init__(self, now_s: float = 1_800_000_000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


def make(directory: Path, clock: Clock | None = None, **sizes: int) -> Log:
    return Log(Segments(directory, **sizes), "abcd", clock or Clock())


def files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.ndjson"))


def decoded(lines: list[Any]) -> list[dict[str, Any]]:
    return [json.loads(bytes(line.body)) for line in lines]


def cut(*chunks: bytes, limit: int = LINE_BYTES) -> list[bytes]:
    lines: list[bytes] = []
    splitter = Splitter(lines.append, limit)
    for chunk in chunks:
        splitter.feed(chunk)
    splitter.flush()
    return lines


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ((b"a\nb\n",), [b"a", b"b"]),
        ((b"a", b"b\nc"), [b"ab", b"c"]),
        ((b"a\r\n\r\n\nb",), [b"a", b"b"]),
        ((b"",), []),
        ((b"\xff\xfe\n",), [b"\xff\xfe"]),
    ],
)
def test_cuts_lines_from_chunks(chunks: tuple[bytes, ...], lines: list[bytes]) -> None:
    assert cut(*chunks) == lines


def test_a_line_of_a_megabyte_is_capped_and_says_so() -> None:
    chunks = [b"x" * 65536] * 16 + [b"\nnext\n"]
    long, after = cut(*chunks)
    assert long == b"x" * LINE_BYTES + b" [%d bytes cut]" % (65536 * 16 - LINE_BYTES)
    assert after == b"next"


async def test_an_entry_of_our_console_handler_keeps_its_fields(tmp_path: Path) -> None:
    clock = Clock()
    log = make(tmp_path, clock)
    ms = int(clock.now_s * 1000) - 5
    log.output(b'{"ts":%d,"level":20,"type":"function","name":"f","id":"1.2","msg":{"a":1},"x":2}' % ms)
    log.output(b'{"not":"ours"}')
    log.output(b"plain \xff text")
    ours, other, plain = decoded(log.recent())
    assert ours == {
        "ts": f"{ms}0000",
        "level": "error",
        "type": "function",
        "name": "f",
        "id": "1.2",
        "msg": {"a": 1},
        "src": "abcd",
    }
    assert other["msg"] == '{"not":"ours"}' and "level" not in other
    assert plain["msg"] == "plain � text"
    log.close()


async def test_cursors_grow_whatever_the_times_say(tmp_path: Path) -> None:
    clock = Clock()
    log = make(tmp_path, clock)
    now_ms = int(clock.now_s * 1000)
    for ms in (now_ms, now_ms, now_ms - 10, 9_999_999_999_999, -1, 10**30):
        log.output(b'{"ts":%d,"msg":"x"}' % ms)
    clock.now_s -= 86_400  # the clock steps back a day
    log.system("later")
    stamps = [line.stamp for line in log.recent()]
    assert stamps == sorted(set(stamps))
    assert stamps[-1] < (now_ms + 1) * 10_000, "a far future time of a flow must not move the cursor there"
    assert all(len(line.cursor) == 17 for line in log.recent())
    log.close()


async def test_the_ring_is_bounded_in_lines_and_bytes(tmp_path: Path) -> None:
    log = make(tmp_path)
    for _ in range(RING_LINES + 50):
        log.output(b"x")
    assert len(log.recent()) == RING_LINES
    for _ in range(200):
        log.output(b"y" * 16_000)
    assert sum(len(line.body) for line in log.recent()) <= RING_BYTES
    log.close()


async def test_pages_in_both_directions_over_ring_and_segments(tmp_path: Path) -> None:
    log = make(tmp_path, segment_bytes=8192)
    for number in range(2500):
        log.output(b"line %d" % number)
    seen: list[int] = []
    cursor = "0" * 17
    while (page := await log.page(cursor, 400)).logs:
        seen += [int(json.loads(bytes(raw))["msg"].split()[1]) for raw in page.logs]
        assert page.meta.next_cursor is not None
        cursor = page.meta.next_cursor
    assert seen == list(range(2500))
    back: list[int] = []
    page = await log.page("", 300)
    while page.logs:
        back = [int(json.loads(bytes(raw))["msg"].split()[1]) for raw in page.logs] + back
        assert page.meta.previous_cursor is not None
        page = await log.page(page.meta.previous_cursor, 300)
    assert back == list(range(2500))
    log.close()


@pytest.mark.parametrize("cursor", ["x", "123", "-", "--12345678901234567", "1" * 18, "１" * 17])
async def test_an_invalid_cursor_gives_an_empty_page(tmp_path: Path, cursor: str) -> None:
    log = make(tmp_path)
    log.system("one")
    page = await log.page(cursor, 10)
    assert page.logs == [] and page.meta.next_cursor is None
    log.close()


async def test_segments_survive_a_restart_without_double_cursors(tmp_path: Path) -> None:
    clock = Clock()
    first = make(tmp_path, clock)
    for number in range(20):
        first.output(b"one %d" % number)
    first.close()
    newest = files(tmp_path)[-1]
    with newest.open("ab") as file:
        file.write(b'{"ts":"180000000')  # a crash cut the last line
    second = make(tmp_path, clock)  # the clock has not moved
    second.system("two")
    lines = await second.forward(0, 500)
    stamps = [line.stamp for line in lines]
    assert len(lines) == 21 and stamps == sorted(set(stamps))
    assert decoded(lines)[-1]["msg"] == "two"
    assert len(second.recent()) == 21, "the tail is in memory again"
    second.close()
    assert all(json.loads(line) for line in newest.read_text().splitlines())


async def test_segments_are_capped_in_size(tmp_path: Path) -> None:
    log = make(tmp_path, segment_bytes=10_000, total_bytes=50_000)
    for number in range(3000):
        log.output(b"%05d " % number + b"z" * 60)
    await log.forward(0, 1)
    total = sum(path.stat().st_size for path in files(tmp_path))
    assert 0 < total <= 50_000 + 10_000
    log.close()


async def test_spoiled_lines_on_disk_do_not_spoil_a_page(tmp_path: Path) -> None:
    log = make(tmp_path)
    for number in range(1500):
        log.output(b"n %d" % number)
    await log.forward(0, 1)
    segment = files(tmp_path)[0]
    content = segment.read_bytes().splitlines(keepends=True)
    content[3:5] = [b'{"ts":"18000000000000003", "msg": }\n', b"\x00\x00\n"]
    segment.write_bytes(b"".join(content))
    page = await log.page("0" * 17, 10)
    assert len(json.loads(json.dumps([json.loads(bytes(raw)) for raw in page.logs]))) >= 8
    log.close()


async def test_a_full_disk_costs_lines_on_disk_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    log = make(tmp_path)
    log.output(b"before")
    await log.forward(0, 1)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, hard))
    try:
        for _ in range(10):
            log.output(b"during " + b"x" * 50)
        await eventually(lambda: any("can't be written" in str(entry["msg"]) for entry in decoded(log.recent())))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    messages = [entry["msg"] for entry in decoded(await log.forward(0, 500))]
    assert sum("during" in message for message in messages) == 10, "they are still in memory"
    log.close()
    for line in files(tmp_path)[-1].read_text().splitlines():
        json.loads(line)  # no half lines


async def test_a_slow_reader_loses_the_oldest_and_is_told(tmp_path: Path) -> None:
    log = make(tmp_path)
    with log.subscribe() as subscriber:
        for number in range(SUBSCRIBER_LINES + 7):
            log.output(b"%d" % number)
        lines, dropped = await subscriber.take(1)
        assert dropped == 7 and len(lines) == SUBSCRIBER_LINES
        assert await subscriber.take(0.01) == ([], 0)
        waiting = asyncio.create_task(subscriber.take(5))
        await asyncio.sleep(0)
        log.output(b"now")
        lines, dropped = await waiting
        assert decoded(lines)[0]["msg"] == "now" and dropped == 0
    log.close()


async def test_the_lines_in_memory_after_a_restart_are_sound(tmp_path: Path) -> None:
    """The flow can write to the segments, and a power cut can: the answer with the ring must stay sound."""
    first = make(tmp_path)
    for number in range(5):
        first.output(b"n %d" % number)
    first.close()
    with files(tmp_path)[-1].open("ab") as file:
        file.write(b'{"ts":"18000000000000007","msg": oops}\n{"ts":"00000000000000001","msg":"back in time"}\n')
    second = make(tmp_path)
    second.system("on")
    assert [entry["msg"] for entry in decoded(second.recent())] == [*(f"n {number}" for number in range(5)), "on"]
    second.close()


@pytest.mark.parametrize(
    "raw", [b'{"msg":' + b"[" * 900 + b"]" * 900 + b"}", b'{"msg":' + b'{"a":' * 60 + b"1" + b"}" * 61]
)
async def test_lists_within_lists_are_text(tmp_path: Path, raw: bytes) -> None:
    """What we can just decode, a reader with less stack could not, and a page is decoded as a whole."""
    log = make(tmp_path)
    log.output(raw)
    log.output(b'{"msg":{"a":[1,{"b":2}]}}')
    assert [entry["msg"] for entry in decoded(log.recent())] == [raw.decode(), {"a": [1, {"b": 2}]}]
    log.close()


async def test_fields_of_an_entry_are_words(tmp_path: Path) -> None:
    log = make(tmp_path)
    log.output(b'{"msg":"m","level":["x"],"type":{},"name":7,"id":null,"ts":"soon","more":1}')
    (entry,) = decoded(log.recent())
    assert set(entry) == {"ts", "msg", "src"}
    log.close()


@pytest.mark.parametrize(
    "raw", [b"\xff\xfe\x00 binary \x1b[31mred", b'{"msg":"\\ud800"}', b"{not json}", b'{"msg":1e999}', b"{}"]
)
async def test_any_bytes_become_an_entry(tmp_path: Path, raw: bytes) -> None:
    log = make(tmp_path)
    log.output(raw)
    assert decoded(log.recent())[0]["msg"] == raw.decode("utf-8", "replace")
    log.close()


async def test_the_tail_of_a_crash_is_of_its_own_run_and_bounded(tmp_path: Path) -> None:
    log = make(tmp_path)
    log.output(b"JavaScript heap out of memory")
    spawned = log.last
    assert log.tail(spawned) == []
    log.output(b"now")
    assert [json.loads(body)["msg"] for body in log.tail(spawned)] == ["now"]
    for number in range(30):
        log.output(b"%d " % number + b"x" * 10_000)
    assert [json.loads(body)["msg"].split()[0] for body in log.tail(spawned)] == ["27", "28", "29"]
    log.close()


async def test_segments_are_capped_in_age_never_the_one_in_use(tmp_path: Path) -> None:
    log = make(tmp_path, segment_bytes=1000)
    for number in range(50):
        log.output(b"%d " % number + b"z" * 100)
        await log.forward(0, 1)
    old = files(tmp_path)
    assert len(old) > 3
    for path in old:
        os.utime(path, (0, 0))
    for number in range(15):
        log.output(b"new %d " % number + b"z" * 100)
        await log.forward(0, 1)
    assert not set(old[:-1]) & set(files(tmp_path)) and files(tmp_path)
    log.close()
