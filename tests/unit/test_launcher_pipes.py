"""Pipes that a flow has put in place of the launcher's files: nobody waits for their other end."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import FrameType

import pytest

from launcher import npm, orphan
from launcher.files import LARGEST_BYTES, read_if_there, write_atomic, write_changed, write_durable
from launcher.install import Install, Job
from launcher.loglines import Log
from launcher.npm import InstallFailed, Modules
from launcher.segments import Segments
from launcher.staging import Yard

LIMIT_S = 20
STAMP = 17000000000000000


class Stuck(BaseException):
    """The code under test waits; no handler of errors takes it for one."""


def stuck(number: int, frame: FrameType | None) -> None:
    raise Stuck


@pytest.fixture(autouse=True)
def alarm() -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, stuck)
    signal.alarm(LIMIT_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("write", [write_atomic, write_changed, write_durable])
def test_a_pipe_is_replaced_whether_it_has_the_name_or_that_of_the_temporary_file(
    tmp_path: Path, write: object
) -> None:
    path = tmp_path / "settings.js"
    os.mkfifo(path)
    os.mkfifo(tmp_path / f".settings.js.{os.getpid()}.tmp")
    write(path, b"mine")  # type: ignore[operator]
    assert path.is_file() and path.read_bytes() == b"mine" and path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_pipe_is_an_error_and_so_is_a_file_without_end(tmp_path: Path) -> None:
    path = tmp_path / "package.json"
    os.mkfifo(path)
    with pytest.raises(OSError, match="not a plain file"):
        read_if_there(path)
    (tmp_path / "zero").symlink_to("/dev/zero")
    with pytest.raises(OSError, match="not a plain file"):
        read_if_there(tmp_path / "zero")
    (tmp_path / "large").touch()
    os.truncate(tmp_path / "large", LARGEST_BYTES + 1)
    with pytest.raises(OSError, match="too large"):
        read_if_there(tmp_path / "large")


async def test_a_pipe_in_place_of_the_note_is_no_node_red(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "node_red.json")
    assert await orphan.end(tmp_path / "node_red.json") is None


def test_a_module_whose_description_is_a_pipe_is_absent(tmp_path: Path) -> None:
    (tmp_path / "node_modules" / "x").mkdir(parents=True)
    os.mkfifo(tmp_path / "node_modules" / "x" / "package.json")
    assert Modules(tmp_path, "node", "/stack", lambda text: None).absent({"x": "*"}) == ["x"]


def test_an_install_does_not_wait_for_a_pipe_in_place_of_its_lock(tmp_path: Path) -> None:
    yard = Yard(tmp_path)
    yard.root.mkdir(parents=True)
    os.mkfifo(yard.lock_file)
    Install(Job(tmp_path, "node", "npm", 5, None, True, []), yard).run()


async def test_an_install_that_keeps_no_time_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npm, "MARGIN_S", 0.1)
    monkeypatch.setattr(npm, "_TELL_S", 0.1)
    modules = Modules(tmp_path, "node", "/stack", lambda text: None)
    monkeypatch.setattr(modules, "_program", lambda timeout_s: ["/bin/sh", "-c", "sleep 60"])
    with pytest.raises(InstallFailed, match="did not end in time"):
        await modules.install({"x": "*"}, {}, lambda text: None, 0.1)


@pytest.fixture
async def logs(tmp_path: Path) -> AsyncIterator[Path]:
    directory = tmp_path / "logs"
    directory.mkdir()
    yield directory


async def test_a_segment_that_is_a_pipe_holds_up_no_log(logs: Path) -> None:
    os.mkfifo(logs / f"{STAMP:017d}.ndjson")
    log = Log(Segments(logs), "0000")
    log.system("first")
    assert [line.body for line in await log.forward(0, 10)][-1:] and b"first" in log.recent()[0].body
    for segment in list(logs.iterdir()):  # noqa: ASYNC240
        segment.unlink()
        os.mkfifo(segment)
    log.system("second")
    assert b"second" in (await log.backward(None, 10))[-1].body
    log.close()
