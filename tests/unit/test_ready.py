"""The note that an appliance is ready, over power cuts: the next process may well get the same pid."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from appliance import ready
from appliance.config import Home
from appliance.system.pidfd import identify


def test_only_the_process_that_said_so_is_ready(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.run.mkdir()
    assert not ready.is_ready(home, os.getpid())
    ready.mark(home)
    assert ready.is_ready(home, os.getpid())
    assert not ready.is_ready(home, os.getppid())
    ready.clear(home)
    assert not ready.is_ready(home, os.getpid())


def test_a_note_of_an_earlier_boot_does_not_count(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.run.mkdir()
    ready.mark(home)
    me = identify(os.getpid())
    assert me is not None
    earlier = msgspec.structs.replace(me, boot_id="earlier")
    (home.run / "ready").write_bytes(msgspec.json.encode(earlier))
    assert not ready.is_ready(home, os.getpid())
    (home.run / "ready").write_text(f"{os.getpid()}\n")  # what versions before wrote
    assert not ready.is_ready(home, os.getpid())
