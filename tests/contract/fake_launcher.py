"""A launcher that behaves, well or badly as told: a real process, started as the real one is.

Usage: fake_launcher.py BEHAVIOUR [launcher arguments]. It writes what it saw into its directory, for tests to read.

good; slow: ready after a second; never: never ready; exits: ends at once with 7; crashes: ends with 7 once it was
ready; stubborn: ignores SIGTERM; family: a child in a session of its own, a grandchild in another, both hold the
output; orphans: a family whose middle has ended; bare: a child that bears no sign of whose it is; floods: writes
without end; long: one line of a megabyte.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

CHILD = "import os,sys,time; os.fork() or os.setsid(); time.sleep(600)"
ORPHANS = "import os,sys,time; os.fork() or (os.setsid(), time.sleep(600)); sys.exit()"


def main() -> None:
    behaviour, arguments = sys.argv[1], sys.argv[2:]
    named = dict(zip(arguments[::2], arguments[1::2], strict=True))
    directory = Path(named["--dir"])
    if behaviour == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if behaviour == "never":
        time.sleep(600)
    if behaviour == "slow":
        time.sleep(1)
    with os.fdopen(int(named["--boot-fd"])) as boot:
        ticket = json.loads(boot.read())["ticket"]
    if behaviour == "exits":
        sys.exit(7)
    if behaviour in ("family", "orphans"):
        script = CHILD if behaviour == "family" else ORPHANS
        subprocess.Popen([sys.executable, "-c", script, "-u", str(directory)], start_new_session=True)
    if behaviour == "bare":
        subprocess.Popen(["/bin/sleep", "600"], env={}, cwd="/", start_new_session=True)
    if behaviour == "long":
        os.write(1, b"x" * (1 << 20))
    seen = {"ticket": ticket, "argv": sys.argv, "env": dict(os.environ), "pid": os.getpid(), "cwd": os.getcwd()}
    temporary = directory / ".seen"
    temporary.write_text(json.dumps(seen))
    temporary.rename(directory / "seen.json")
    if behaviour == "crashes":
        sys.exit(7)
    while behaviour == "floods":
        os.write(1, b"all work and no play\n" * 500)
        time.sleep(0.001)
    time.sleep(600)


main()
