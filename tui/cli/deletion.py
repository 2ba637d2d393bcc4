"""What is gone for good is asked for once more."""

from __future__ import annotations

import sys

from tui.cli.session import Session
from tui.errors import BoxError, Usage
from tui.text import visible


def confirm(session: Session, name: str, consequence: str) -> None:
    """Ask for the name. Raises Usage when nobody can be asked, BoxError when something else is typed."""
    if not session.on_terminal:
        raise Usage(f"deleting '{name}' needs a person to type its name, or --yes in a script")
    sys.stderr.write(f"{consequence}\nType {visible(name)} to go on: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != name:
        raise BoxError("nothing was deleted: the name was not typed")
