"""Temporary files of writers that were killed in the middle: removed by the next start, and nobody else's."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.system import files as ours
from launcher import files as theirs

Sweep = Callable[[Path], None]


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize("sweep", [ours.sweep, theirs.sweep])
def test_what_a_killed_writer_left_is_removed(tmp_path: Path, sweep: Sweep) -> None:
    (tmp_path / f".placement.json.{dead_pid()}.tmp").write_text("half")
    kept = {
        f".settings.json.{os.getpid()}.tmp",  # its writer lives
        "placement.json",
        "notes.tmp",
        f"placement.json.{dead_pid()}",
    }
    for name in kept:
        (tmp_path / name).write_text("whole")
    sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == kept


def test_what_node_red_left_of_a_deploy_is_removed(tmp_path: Path) -> None:
    left = tmp_path / f"flows.json.{dead_pid()}.262.tmp"
    left.write_text("half")
    theirs.sweep(tmp_path)
    assert not left.exists()


@pytest.mark.parametrize("sweep", [ours.sweep, theirs.sweep])
def test_a_directory_that_is_not_there_or_in_the_way_is_no_error(tmp_path: Path, sweep: Sweep) -> None:
    sweep(tmp_path / "nowhere")
    blocked = tmp_path / f".x.{dead_pid()}.tmp"
    (blocked / "inside").mkdir(parents=True)
    for number in range(20):
        (tmp_path / f".{number}.{dead_pid()}.tmp").touch()
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == [blocked]


@pytest.mark.parametrize("write", [ours.write_atomic, theirs.write_atomic])
def test_what_is_swept_is_what_is_written(tmp_path: Path, write: Callable[[Path, bytes], None]) -> None:
    """The pattern and the names are in different places: kill a writer just before its file gets its name."""
    module = "appliance.system.files" if write is ours.write_atomic else "launcher.files"
    code = (
        f"import os, sys, pathlib; from {module} import write_atomic\n"
        "pathlib.Path.replace = lambda *_: os.kill(os.getpid(), 9)\n"
        "write_atomic(pathlib.Path(sys.argv[1]), b'half')\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "state.json")], cwd=Path(__file__).parents[2])
    assert done.returncode == -9 and len(list(tmp_path.iterdir())) == 1
    (ours.sweep if write is ours.write_atomic else theirs.sweep)(tmp_path)
    assert list(tmp_path.iterdir()) == []
