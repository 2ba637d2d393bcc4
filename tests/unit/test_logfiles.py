"""Log files of the box are kept short while others write them."""

from __future__ import annotations

import os
from pathlib import Path

from appliance import logs
from appliance.system.logfiles import cap, set_aside, size, tail
from tests.support import eventually


def test_the_last_lines_stay_and_writers_go_on(tmp_path: Path) -> None:
    path = tmp_path / "appliance.log"
    writer = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        for number in range(1000):
            os.write(writer, b"line %04d\n" % number)
        assert not cap(path, 20_000, 2_000)
        assert cap(path, 5_000, 1_000)
        lines = path.read_text().splitlines()
        assert lines[-1] == "line 0999" and lines[0] == "line 0901" and len(lines) == 99
        os.write(writer, b"after\n")
        assert path.read_text().endswith("line 0999\nafter\n")
    finally:
        os.close(writer)


def test_what_is_no_plain_file_is_left_alone(tmp_path: Path) -> None:
    assert not cap(tmp_path / "missing")
    os.mkfifo(tmp_path / "pipe")
    assert not cap(tmp_path / "pipe")


async def test_the_box_looks_after_them(tmp_path: Path) -> None:
    import asyncio

    (tmp_path / "nginx.log").write_bytes(b"x\n" * 5 * 1024 * 1024)
    task = asyncio.create_task(logs.keep_short(tmp_path, every_s=0.01))
    try:
        await eventually(lambda: (tmp_path / "nginx.log").stat().st_size < 3 * 1024 * 1024)
    finally:
        task.cancel()
        await asyncio.wait([task])


def test_a_log_is_set_aside_when_it_has_grown(tmp_path: Path) -> None:
    path = tmp_path / "error.log"
    assert not set_aside(path, 5) and size(path) == 0
    path.write_bytes(b"12345")
    assert not set_aside(path, 5) and size(path) == 5
    path.write_bytes(b"123456")
    assert set_aside(path, 5) and not path.exists()
    assert (tmp_path / "error.log.1").read_bytes() == b"123456"


def test_the_end_of_a_log_is_read_from_a_mark_on_and_through_no_link(tmp_path: Path) -> None:
    path = tmp_path / "error.log"
    assert tail(path) == ""
    path.write_bytes(b"before" + b"x" * 20_000 + b"\xffend")
    assert tail(path).endswith("\N{REPLACEMENT CHARACTER}end") and len(tail(path)) == 16384
    assert tail(path, path.stat().st_size - 3) == "end"
    (tmp_path / "link.log").symlink_to(path)
    assert tail(tmp_path / "link.log") == ""
