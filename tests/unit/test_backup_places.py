"""Where backups go, and what stays here when they can't be brought there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appliance.config import Home
from appliance.errors import Unavailable
from appliance.services.backup_places import Places


async def test_a_remote_that_is_away_fills_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rclone").write_text("#!/bin/sh\necho 'no route to host' >&2\nexit 1\n")
    (tmp_path / "rclone").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    places = Places(Home(tmp_path / "box"))
    (tmp_path / "box").mkdir()
    folder = places.folder("rclone:away:box")
    for hour in ("01", "02", "03"):
        (folder / f"weir-box-{hour}.weir").write_text(hour)
        with pytest.raises(Unavailable, match="no route"):
            await places.deliver("rclone:away:box", folder / f"weir-box-{hour}.weir")
    assert [(each.name, each.read_text()) for each in folder.iterdir()] == [("undelivered.weir", "03")]
