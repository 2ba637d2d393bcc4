"""`weir alerts …`: who is told of problems."""

from __future__ import annotations

from appliance.schema.operations import AlertsStatus, AlertsTested
from tui.cli.session import Session, print_json, print_table
from tui.text import plural
from tui.wire import decode


def show(session: Session, *, as_json: bool) -> None:
    """Print the receivers. Raises BoxError."""
    with session.box() as box:
        answer = box.get("/box/alerts")
    if as_json:
        print_json(answer)
        return
    status = decode(answer, AlertsStatus)
    if not status.channels:
        print("Nobody is told of problems. Set [[alerts.webhook]], [alerts.mail] or [alerts.mqtt] in config.toml.")
        return
    print_table(["RECEIVER", "STATE"], [[each, status.failing.get(each, "well")] for each in status.channels])
    if status.waiting:
        print(f"{plural(status.waiting, 'change')} to be told with the next message")


def test(session: Session, *, as_json: bool) -> bool:
    """Tell everybody that this is a test; whether all took it. Raises BoxError."""
    with session.box() as box:
        answer = box.post("/box/alerts/test")
    results = decode(answer, AlertsTested).results
    if as_json:
        print_json(answer)
    else:
        print_table(["RECEIVER", "RESULT"], [[each.channel, each.error or "taken"] for each in results])
    return not any(each.error for each in results)
