"""Tells systemd how the service is (sd_notify(3)); does nothing where systemd did not ask."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket


def notify(*lines: str) -> None:
    """Send `READY=1`, `STOPPING=1`, `STATUS=…`; never fails."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
        door.sendto("\n".join(lines).encode(), address)


async def watchdog() -> None:
    """Say that the event loop lives, twice as often as systemd wants to hear it; returns where it does not."""
    period = os.environ.get("WATCHDOG_USEC", "")
    if not period.isdigit():
        return
    while True:
        notify("WATCHDOG=1")
        await asyncio.sleep(int(period) / 2_000_000)
