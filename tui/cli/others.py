"""The verbs that are the appliance itself."""

from __future__ import annotations

import os
import sys

from tui.cli.session import Session
from tui.errors import Usage


def become_appliance(session: Session, verb: list[str], arguments: list[str]) -> None:
    """Go on as `python -m appliance VERB …` for the box meant; does not return.

    Raises Usage for a remote box: its processes are not ours to start.
    """
    if session.wanted.url:
        raise Usage(f"weir {' '.join(verb)} works on this machine's own box", hint="Leave out --url.")
    sys.stdout.flush()
    # -P: a directory called "appliance" where the user happens to stand must not be run instead.
    command = [sys.executable, "-P", "-m", "appliance", *verb, "--home", str(session.home), *arguments]
    os.execv(sys.executable, command)  # noqa: S606 - our own interpreter, no shell
