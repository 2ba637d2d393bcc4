"""`weir instance limits`: what an instance may take of the box, and which devices are leased to it."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import Any

from appliance.schema.box import BoxStatus
from appliance.schema.limits import ShownLimits
from tui.cli.instances import resolve
from tui.cli.limit_options import NUMBERS, listed, number
from tui.cli.session import Session, print_json, say
from tui.errors import Usage
from tui.text import visible
from tui.wire import decode


def limits(session: Session, args: Namespace) -> None:
    """Show what an instance may take of the box, or set it."""
    with session.box() as box:
        path = f"/projects/{resolve(box, args.name).id}/limits"
        answer = box.get(path)
        if body := _wanted(args, decode(answer, ShownLimits)):
            answer = box.put(path, body)
    if args.json:
        print_json(answer)
        return
    print("\n".join(_lines(decode(answer, ShownLimits))))


def shell(session: Session, args: Namespace) -> None:
    """Lend this terminal to a shell of the instance."""
    from tui.remote_shell import run

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Usage("a shell needs a terminal", hint="Over SSH: ssh -t.")
    with session.box() as box:
        found = resolve(box, args.name)
        sandbox = decode(box.get("/box/status"), BoxStatus).appliance.sandbox
    whose = "as its own user in its sandbox" if sandbox else "as the account of the box, which owns all of it"
    say(f"A shell of {visible(found.name)}, {whose}. 'exit' ends it.")
    run(session.address, found.id)


def _wanted(args: Namespace, now: ShownLimits) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for name, (field, unit, _) in NUMBERS.items():
        if (given := getattr(args, name)) is not None:
            body[field] = number(name, given, unit)
    if args.networks is not None:
        body["networks"] = listed(args.networks)
    if args.ports is not None:
        body["ports"] = listed(args.ports)
    if args.device or args.no_device:
        body["devices"] = sorted({*now.devices, *args.device} - set(args.no_device))
    return body


def _lines(found: ShownLimits) -> list[str]:
    used = f", of which it takes {found.disk_used_mb:g} MB" if found.disk_used_mb is not None else ""
    lines = [
        f"memory    {_said(found.memory_mb, ' MB')}",
        f"cpu       {_said(found.cpu_percent, '% of a core')}",
        f"tasks     {_said(found.tasks, '')}",
        f"disk      {_said(found.disk_mb, ' MB')}{used}",
        f"networks  {', '.join(found.networks) or 'all'}",
        f"ports     {', '.join(found.ports) or 'all that nobody else has'}",
        f"devices   {', '.join(found.devices) or 'none'}",
    ]
    return [visible(line) for line in [*lines, *([f"note: {found.note}"] if found.note else [])]]


def _said(limit: int | None, unit: str) -> str:
    return f"{limit}{unit}" if limit is not None else "the box's default"
