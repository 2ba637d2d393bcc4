"""`weir maintenance …`: all instances paused, and back."""

from __future__ import annotations

from datetime import UTC, datetime

from appliance.schema.operations import Maintenance
from tui.cli.session import Session, print_json
from tui.text import age, visible
from tui.wire import decode

PATH = "/box/maintenance"


def switch(session: Session, *, on: bool, reason: str, as_json: bool) -> None:
    """Pause or resume everything. Raises BoxError."""
    with session.box() as box:
        answer = box.put(PATH, {"on": on, "reason": reason})
    if as_json:
        print_json(answer)
    elif on:
        print("All instances are being paused; what is wanted of each stays. To resume them: weir maintenance off")
    else:
        print("Each instance comes back as it is wanted: weir instance list")


def show(session: Session, *, as_json: bool) -> None:
    """Print whether it is on. Raises BoxError."""
    with session.box() as box:
        answer = box.get(PATH)
    print_json(answer) if as_json else print(said(decode(answer, Maintenance), datetime.now(UTC)))


def said(now: Maintenance, at: datetime) -> str:
    """One line for people."""
    if not now.on:
        return "The box is not in maintenance."
    reason = f": {visible(now.reason)}" if now.reason else ""
    who = f", by {visible(now.by)}" if now.by else ""
    return (
        f"MAINTENANCE{reason}. All instances are paused, for {age(now.since, at)}{who}. weir maintenance off ends it."
    )
