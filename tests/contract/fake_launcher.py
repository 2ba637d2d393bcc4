"""A launcher that behaves, well or badly as told: a real process, started as the real one is.

Usage: fake_launcher.py BEHAVIOUR [launcher arguments]. It writes what it saw into its directory, for tests to read.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def main() -> None:
    behaviour, arguments = sys.argv[1], sys.argv[2:]
    named = dict(zip(arguments[::2], arguments[1::2], strict=True))
    directory = Path(named["--dir"])
    if behaviour == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with os.fdopen(int(named["--boot-fd"])) as boot:
        ticket = json.loads(boot.read())["ticket"]
    if behaviour == "exits":
        sys.exit(7)
    if behaviour == "family":
        # A child in a session of its own, as Node-RED is, with a grandchild that left its session and holds our output.
        script = "import os,sys,time; os.fork() or os.setsid(); time.sleep(600)"
        subprocess.Popen([sys.executable, "-c", script, "-u", str(directory)], start_new_session=True)
    (directory / "seen.json").write_text(
        json.dumps(
            {"ticket": ticket, "argv": sys.argv, "env": dict(os.environ), "pid": os.getpid(), "cwd": os.getcwd()}
        )
    )
    time.sleep(600)


main()
