"""A full disk: the deploy is refused in words, nothing is lost or half-written, all goes on when there is room."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import stack_cache
from tests.system.box import Box, editor_token

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(240),
    pytest.mark.usefixtures("shared_processes"),
    pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system, which takes root"),
]


@pytest.fixture
def small_box(tmp_path: Path) -> Iterator[Box]:
    """A box whose directory is a file system of 48 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(disk)], check=True)
    box = Box(disk / "h", stack_cache())
    try:
        box.up()
        yield box
    finally:
        box.down()
        subprocess.run(["umount", str(disk)], check=True)


def flow(label: str) -> list[dict[str, Any]]:
    # Different bytes every time: SQLite passes over pages that did not change.
    return [{"id": "ab00000000000001", "type": "tab", "label": label, "info": os.urandom(40_000).hex()}]


def fill(file: Path) -> None:
    """Write until there is no byte left."""
    with file.open("wb", buffering=0) as target:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while target.write(bytes(size)):
                    pass
            except OSError:
                continue


def test_a_deploy_on_a_full_disk(small_box: Box) -> None:
    box = small_box
    token = editor_token(box.url.rstrip("/"), box.instance_url("first").rstrip("/"), "admin", box.password)
    editor = httpx.Client(
        verify=ssl.create_default_context(cafile=box.ca), base_url=box.instance_url("first"), timeout=60
    )
    editor.headers["Authorization"] = f"Bearer {token}"
    with editor:
        assert editor.post("/flows", json=flow("before")).status_code in (200, 204)
        stored = box.json("instance", "flows", "first")["flows"]
        filler = box.home / "filler"
        fill(filler)

        refused = editor.post("/flows", json=flow("while full"))
        assert refused.status_code >= 400
        assert "is full" in refused.text and "Your changes are still in this editor" in refused.text
        assert "Free" in refused.text and "is away" not in refused.text, refused.text
        assert box.json("instance", "flows", "first")["flows"] == stored
        assert box.instance("first")["meta"]["state"] == "running"
        doctor = box.cli("doctor", check=False)
        assert doctor.returncode == 1 and "disk" in (doctor.stdout + doctor.stderr).lower()

        filler.unlink()
        assert editor.post("/flows", json=flow("after")).status_code in (200, 204)
    assert box.json("instance", "flows", "first")["flows"][0]["label"] == "after"
    assert json.loads(box.cli("instance", "list", "--json").stdout)["count"] == 1
