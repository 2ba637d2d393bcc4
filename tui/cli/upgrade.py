"""`weir upgrade` and `weir bundle`: starting the programs that do it, the installer's and the release's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tui.errors import Usage

_INSTALLED = Path("/opt/weir/current")


def upgrade(wanted: str, *, as_json: bool) -> bool:
    """True when the box uses the release meant; without one the installed are listed. Raises Usage."""
    _on_installed_box()
    if not wanted:
        return _run([*_program(), "list", *(["--json"] if as_json else [])])
    if os.geteuid() != 0:
        raise Usage("an upgrade changes the system, so it is root's", hint=f"Type: sudo weir upgrade {wanted}")
    command = _command(wanted)
    return _run(command) if not as_json else _told(command)


def make(file: str, palette: Sequence[str], *, debian: bool, as_json: bool) -> bool:
    """True when the bundle is written."""
    chosen = [part for each in palette for part in ("--palette", each)]
    command = [*_program(), "bundle", file, *chosen, *(["--debian"] if debian else [])]
    return _run(command) if not as_json else _told(command)


def _command(wanted: str) -> list[str]:
    place = Path(wanted).absolute()
    if place.is_dir():
        if not (place / "install.sh").is_file():
            raise Usage(f"{place} is no checkout of Weir", hint="Name a bundle, a checkout or an installed release.")
        return ["bash", str(place / "install.sh")]
    if place.is_file():
        return ["bash", str(_INSTALLED / "install.sh"), "--offline", str(place)]
    if "/" in wanted:
        raise Usage(f"there is no file {wanted}", hint="Name a bundle, a checkout or an installed release.")
    return [*_program(), "switch", wanted]


def _program() -> list[str]:
    return [sys.executable, "-P", "-m", "appliance.upgrade"]


def _on_installed_box() -> None:
    if not _INSTALLED.exists():
        raise Usage("Weir is not installed on this machine", hint="Type: sudo ./install.sh in a checkout.")


def _run(command: Sequence[str]) -> bool:
    return subprocess.run(command, check=False).returncode == 0


def _told(command: Sequence[str]) -> bool:
    """The same for scripts: one object at the end, and what is said meanwhile on standard error."""
    done = subprocess.run(command, stdout=sys.stderr, check=False)
    print(json.dumps({"ok": done.returncode == 0}))
    return done.returncode == 0
