"""What `weir doctor` learns from the box's directory: the appliance's own program looks, also while the box is down."""

from __future__ import annotations

import subprocess
import sys

import msgspec

from appliance.schema.box import Finding
from tui.cli.session import Session

DEADLINE_S = 90.0


def local_findings(session: Session) -> list[Finding]:
    """Everything about the box on this machine; nothing for one that is elsewhere, and for who came over SSH."""
    if session.wanted.url or session.over_ssh:
        return []
    # -P: a directory called "appliance" where the user happens to stand must not be run instead.
    command = [sys.executable, "-P", "-m", "appliance", "doctor", "--home", str(session.home)]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE_S, check=False)
        return msgspec.json.decode(done.stdout, type=list[Finding])
    except subprocess.TimeoutExpired:
        hint = f"A disk that does not answer, perhaps: df; ls {session.home}"
        return [Finding("files", False, f"looking at {session.home} took longer than {DEADLINE_S:.0f} s", hint)]
    except (OSError, msgspec.MsgspecError) as error:
        return [Finding("files", False, f"{session.home} can't be looked at: {error}", "Install Weir again.")]
