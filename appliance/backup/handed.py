"""Files of instances that wait for their launchers: where each instance has an account of its own, nobody else writes
them. The launcher takes its archive at its next start, unpacks it as that account, and says so (`launcher.handed`)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from appliance.errors import Internal
from appliance.system.files import make_private_dir, remove_all

DIRECTORY = "handed"
DEADLINE_S = 3600.0


def archive(state: Path, instance_id: str) -> Path:
    """Where the files of an instance wait, as a tar."""
    return state / DIRECTORY / f"{instance_id}.tar"


def set_aside(new: Path, placer: str) -> None:
    """Turn the restored directories below `new` into archives, unless Weir's own account may write there. Blocks.

    Raises Internal, OSError."""
    if placer != "units" or not (new / "instances").is_dir():
        return
    make_private_dir(new / "state" / DIRECTORY)
    for directory in sorted((new / "instances").iterdir()):
        _pack(directory, archive(new / "state", directory.name))
        remove_all(directory)


def _pack(directory: Path, target: Path) -> None:
    command = [sys.executable, "-I", "-m", "launcher.pack", str(directory), "--packages"]
    with target.open("wb") as out:
        target.chmod(0o600)
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE, timeout=DEADLINE_S, check=False
        )
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise Internal(f"The files of {directory.name} can't be set aside: {said[:300]}")
