"""A place among systemd's control groups where a box started by hand lives on.

systemd ends every process of a unit when the unit ends. `./dev up --detach` may well run in one (a transient unit, a
cron job, a provisioning tool), so the box moves into a scope of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path


def outliving() -> list[str]:
    """The words to put before a command so that it outlives the unit we run in; none where that isn't needed.

    Needs root: the scope is the system manager's. Under a user's login the session keeps its processes by default.
    """
    program = shutil.which("systemd-run")
    if program is None or os.geteuid() != 0 or not Path("/run/systemd/system").is_dir():
        return []
    words = [program, "--scope", "--quiet", "--collect", "--description=Weir, started by hand", "--"]
    try:
        # Without a working bus (a chroot, a half-started machine) the box is started as it can be.
        subprocess.run([*words, "true"], check=True, capture_output=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return []
    return words
