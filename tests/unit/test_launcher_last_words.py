"""A log that lies in memory: its end outlives the launcher and a reboot, and pages go on across both."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from launcher import last_words
from launcher.config import Options
from launcher.loglines import KEEP_EVERY_S, Log
from launcher.main import IN_MEMORY_BYTES, _log_of
from tests.support import eventually


@pytest.fixture
def options(tmp_path: Path) -> Options:
    """Of a launcher whose memory is a directory here."""
    return Options("id", tmp_path / "disk", "http://127.0.0.1:1", 1, 2, "node", "red", logs=str(tmp_path / "memory"))


async def texts(log: Log) -> list[str]:
    """All that pages show, oldest first."""
    found: list[str] = []
    cursor = ""
    while (page := await log.page(cursor, 100)).logs:
        found[:0] = [json.loads(bytes(body))["msg"] for body in page.logs]
        cursor = page.meta.previous_cursor or ""
    return found


def reboot(options: Options) -> None:
    shutil.rmtree(options.logs)


async def test_nothing_is_written_to_the_disk_while_all_is_well(options: Options) -> None:
    log = _log_of(options, "abcd")
    log.output(b"one")
    assert await texts(log) == ["one"]
    assert not options.dir.exists()
    log.close()


async def test_what_was_said_before_an_orderly_end_is_there_after_a_reboot(options: Options) -> None:
    log = _log_of(options, "abcd")
    for number in range(250):
        log.output(f"line {number}".encode())
    log.close()
    reboot(options)
    log = _log_of(options, "abcd")
    log.output(b"after")
    assert await texts(log) == [*(f"line {number}" for number in range(250)), "after"]
    log.close()


async def test_a_crash_keeps_the_end_at_once_and_the_next_one_wears_out_nothing(options: Options) -> None:
    log = _log_of(options, "abcd")
    log.output(b"what it said last")
    log.last_words("Node-RED exited with code 1")
    kept: Callable[[], bytes] = options.last_words.read_bytes
    await eventually(lambda: options.last_words.exists() and b"what it said last" in kept(), what="it was kept")
    log.last_words("Node-RED exited with code 2")
    await log.page("", 10)  # the thread has done all that it was given
    assert b"code 1" in kept() and b"code 2" not in kept()
    assert KEEP_EVERY_S >= 10
    log.close()  # an orderly end has it all
    assert b"code 2" in kept()


async def test_no_more_than_the_cap_is_kept_and_no_half_lines(options: Options) -> None:
    log = _log_of(options, "abcd")
    for number in range(900):
        log.output(f"{number} {'x' * 1000}".encode())
    log.close()
    lines = options.last_words.read_bytes().splitlines()
    assert options.last_words.stat().st_size <= last_words.KEPT_BYTES
    assert json.loads(lines[-1])["msg"].startswith("899 ") and len(lines) > 200
    assert all(json.loads(line)["ts"] for line in lines)


async def test_what_lay_on_the_disk_before_begins_the_log_in_memory(options: Options) -> None:
    on_disk = msgspec.structs.replace(options, logs="")
    log = _log_of(on_disk, "abcd")
    log.output(b"of before")
    log.close()
    log = _log_of(options, "abcd")
    log.output(b"in memory")
    assert await texts(log) == ["of before", "in memory"]
    log.close()
    reboot(options)
    log = _log_of(on_disk, "abcd")  # and back: each line once
    assert await texts(log) == ["of before", "in memory"]
    assert not options.last_words.exists()
    log.close()


async def test_segments_of_before_go_when_they_are_old(options: Options) -> None:
    old = options.own / "logs" / f"{1:017d}.ndjson"
    old.parent.mkdir(parents=True)
    old.write_bytes(b'{"ts":"00000000000000001","msg":"x"}\n')
    os.utime(old, (1, 1))
    log = _log_of(options, "abcd")
    assert not old.exists() and await texts(log) == ["x"]
    log.close()


@pytest.mark.parametrize(
    "spoiled", [b"", b"no line", b'{"ts":"12"}\n{"ts":\n', b"\xff" * 400_000, b'{"ts":"99999999999999999","msg":\n']
)
async def test_what_a_flow_spoiled_costs_no_start(options: Options, spoiled: bytes) -> None:
    options.own.mkdir(parents=True)
    options.last_words.write_bytes(spoiled)
    log = _log_of(options, "abcd")
    log.output(b"goes on")
    assert await texts(log) == ["goes on"]
    log.close()


async def test_a_pipe_in_its_place_holds_up_nobody(options: Options) -> None:
    options.own.mkdir(parents=True)
    os.mkfifo(options.last_words)
    log = _log_of(options, "abcd")
    log.output(b"goes on")
    log.close()
    assert b"goes on" in options.last_words.read_bytes()


def test_the_directory_has_room_for_the_log_and_for_what_is_being_written() -> None:
    unit = (Path(__file__).parents[2] / "systemd" / "weir-launcher@.service").read_text()
    size = next(line for line in unit.splitlines() if line.startswith("TemporaryFileSystem=/run/weir-log:"))
    assert "size=6M" in size and IN_MEMORY_BYTES * 5 // 4 <= 6 * 1024 * 1024
