"""`weir backup restore` on an installed box: whatever ends it, the box is started again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os, signal, sys
from tui.cli.backup_restore import _stopped
with _stopped():
    {ends}
"""


@pytest.mark.parametrize(
    "ends", ["os.kill(os.getpid(), signal.SIGHUP)", "os.kill(os.getpid(), signal.SIGINT)", "os.close(2)"]
)
def test_a_connection_that_breaks_leaves_no_box_that_is_down(tmp_path: Path, ends: str) -> None:
    (tmp_path / "systemctl").write_text('#!/bin/sh\necho "$@" >>"$0.said"\n')
    (tmp_path / "systemctl").chmod(0o755)
    subprocess.run(
        [sys.executable, "-c", PROGRAM.format(ends=ends)],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        timeout=20,
        check=False,
    )
    said = (tmp_path / "systemctl.said").read_text().splitlines()
    assert [line.split()[0] for line in said] == ["stop", "stop", "start"]
    assert "weir.service" in said[-1]
