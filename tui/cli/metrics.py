"""`weir metrics …`: numbers for programs."""

from __future__ import annotations

from appliance.schema.platform import StatsToken
from tui.cli.session import Session, print_json, print_object, say
from tui.text import visible
from tui.wire import decode


def show(session: Session, *, as_json: bool) -> None:
    """Print them. Raises BoxError."""
    with session.box() as box:
        text = box.page("/metrics").decode()
    if as_json:
        print_object({"openmetrics": text})
    else:
        print(text, end="")


def token(session: Session, *, end: bool, as_json: bool) -> None:
    """Print a new token, or end the one there is. Raises BoxError."""
    with session.box() as box:
        answer = box.delete("/admin/stats-token") if end else box.post("/admin/stats-token")
    if as_json:
        print_json(answer)
    elif end:
        print("The token is good no longer")
    else:
        print(visible(decode(answer, StatsToken).token))
        say(
            "Shown this once. Programs send it as: Authorization: Bearer …, to http://127.0.0.1:3000/metrics on the box"
        )
