"""The commands about what an instance may take of the box: names, what they take, what carries them out."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable

from tui.cli.session import Session
from tui.errors import Usage

Command = Callable[[Session, Namespace], bool | None]
NUMBERS = {
    "memory": ("memoryMb", "MB", "memory of all its programs together"),
    "cpu": ("cpuPercent", "PERCENT", "processor time, in percent of one core"),
    "tasks": ("tasks", "COUNT", "processes and threads"),
    "disk": ("diskMb", "MB", "room for its files"),
}


def number(name: str, text: str, unit: str) -> int | None:
    """A limit as people type it; None for `default`. Raises Usage; what makes sense, the box decides."""
    if text == "default":
        return None
    if not (text.isascii() and text.isdigit() and 0 < int(text[:12]) < 1 << 31):
        raise Usage(f"{name} can't be '{text[:40]}'", hint=f"It is a whole number ({unit}), or 'default'.")
    return int(text)


def listed(text: str) -> list[str]:
    """A list of networks, or of ports, as people type it; `all` is the empty one."""
    return [] if text == "all" else [each.strip() for each in text.split(",") if each.strip()]


def options(parser: ArgumentParser) -> None:
    """What the command takes."""
    for name, (_, unit, what) in NUMBERS.items():
        parser.add_argument(f"--{name}", metavar=unit, default=None, help=f"{what}; 'default' for that of its type")
    text = "a device of the field, such as /dev/ttyUSB0, for this instance alone; may be given several times"
    parser.add_argument("--device", metavar="PATH", action="append", default=[], help=text)
    parser.add_argument("--no-device", metavar="PATH", action="append", default=[], help="take a device away from it")
    text = "the only addresses it may speak with: 192.0.2.0/24,2001:db8::/32; 'all' for all"
    parser.add_argument("--networks", metavar="LIST", default=None, help=text)
    text = "the only ports it may open beside its own: tcp:1880,udp:5000-5010,1883; 'own' for none, 'all' for all"
    parser.add_argument("--ports", metavar="LIST", default=None, help=text)


def limits(session: Session, args: Namespace) -> None:
    """Show what an instance may take of the box, or set it; devices among it."""
    from tui.cli.limits import limits as carry_out

    carry_out(session, args)


def shell(session: Session, args: Namespace) -> None:
    """Open a shell in an instance's sandbox, as its user."""
    from tui.cli.limits import shell as carry_out

    carry_out(session, args)


COMMANDS: dict[str, Command] = {"instance limits": limits, "instance shell": shell}
