"""`weir upgrade` and `weir bundle` where Weir is not installed: what they say, and that they do nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

INSTALLED = Path("/opt/weir/current").exists()


def weir(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tui.cli.main", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT, stdin=subprocess.DEVNULL)


@pytest.mark.skipif(INSTALLED, reason="Weir is installed on this machine")
@pytest.mark.parametrize("words", [("upgrade",), ("upgrade", "/nowhere"), ("bundle", "apply", "/nowhere")])
def test_without_an_installation_the_way_to_one_is_told(words: tuple[str, ...]) -> None:
    done = weir(*words)
    assert done.returncode == 2 and "not installed" in done.stderr and "install.sh" in done.stderr


def test_a_bundle_that_can_not_be_made_leaves_no_file(tmp_path: Path) -> None:
    file = tmp_path / "weir.bundle"
    done = weir("bundle", "make", str(file), "--palette", "--registry=http://localhost:1", "--json")
    assert done.returncode == 2, "an option is no package"
    done = weir("bundle", "make", str(file), "--palette", "../x", "--json")
    assert done.returncode == 1 and json.loads(done.stdout) == {"ok": False}
    assert "not the name of a package" in done.stderr and list(tmp_path.iterdir()) == []
