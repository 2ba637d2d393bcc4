"""`weir host`: the machine that the box runs on."""

from __future__ import annotations

from appliance.schema.box import Machine
from tui import hostwords
from tui.cli.session import Session, print_json
from tui.text import visible
from tui.wire import decode


def show_host(session: Session, *, as_json: bool) -> None:
    """Print how the machine is. Raises BoxError."""
    with session.box() as box:
        answer = box.get("/box/machine")
    if as_json:
        print_json(answer)
        return
    for label, text, _ in hostwords.of_machine(decode(answer, Machine)):
        print(f"{label:<12} {visible(text)}")
