"""`weir broker status`: the message broker."""

from __future__ import annotations

from appliance.schema.broker import BrokerStatus
from tui.cli.session import Session, print_json
from tui.text import plural, visible
from tui.wire import decode

OFF = (
    "The message broker is switched off. To have one: [broker] enabled = true in config.toml, and start the box again."
)


def show(session: Session, *, as_json: bool) -> bool:
    """Print how it is; False when it is wanted and does not run. Raises BoxError."""
    with session.box() as box:
        answer = box.get("/box/broker")
    status = decode(answer, BrokerStatus)
    if as_json:
        print_json(answer)
    else:
        print("\n".join(said(status)))
    return status.running or not status.enabled


def said(status: BrokerStatus) -> list[str]:
    """Lines for people."""
    if not status.enabled:
        return [OFF]
    lines = [f"running, pid {status.pid}" if status.running else "does not run"]
    if status.message:
        lines.append(f"! {visible(status.message)}")
    lines.append(f"{plural(status.clients, 'instance')} may log in")
    if status.connected is not None:
        lines[-1] += f", {plural(status.connected, 'connection')}"
    lines.append(f"on this box  {visible(status.url)}")
    lines += [f"from outside {visible(url)}" for url in status.public_urls]
    return lines
