"""The commands for looking after a box: names, what they take, what carries them out."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable

from tui.cli.session import Session

Command = Callable[[Session, Namespace], bool | None]
Options = Callable[[ArgumentParser], None]
GROUPS = {
    "maintenance": "pause all instances, and resume them",
    "alerts": "who is told of problems",
    "metrics": "the box in numbers, for programs that collect them",
    "broker": "the message broker of the box (MQTT)",
    "ca": "the box's own certificate authority, and how phones and PCs come to trust it",
}


def options(name: str) -> Options | None:
    """What adds the options of this command; None where it is not one of these."""
    return _OPTIONS.get(name)


def maintenance_on(session: Session, args: Namespace) -> None:
    """Pause all instances; they stay so over restarts of the box."""
    from tui.cli import maintenance

    maintenance.switch(session, on=True, reason=args.reason, as_json=args.json)


def maintenance_off(session: Session, args: Namespace) -> None:
    """Resume all instances, each as it was wanted."""
    from tui.cli import maintenance

    maintenance.switch(session, on=False, reason="", as_json=args.json)


def maintenance_show(session: Session, args: Namespace) -> None:
    """Whether the box is in maintenance, since when and why."""
    from tui.cli import maintenance

    maintenance.show(session, as_json=args.json)


def alerts_list(session: Session, args: Namespace) -> None:
    """Where problems are told, and how that goes."""
    from tui.cli import alerts

    alerts.show(session, as_json=args.json)


def alerts_test(session: Session, args: Namespace) -> bool:
    """Tell every receiver that this is a test; exit 1 when one did not take it."""
    from tui.cli import alerts

    return alerts.test(session, as_json=args.json)


def metrics_show(session: Session, args: Namespace) -> None:
    """Print the numbers as OpenMetrics."""
    from tui.cli import metrics

    metrics.show(session, as_json=args.json)


def metrics_token(session: Session, args: Namespace) -> None:
    """Make the token with which programs collect them; the one before ends."""
    from tui.cli import metrics

    metrics.token(session, end=args.end, as_json=args.json)


def wear(session: Session, args: Namespace) -> None:
    """What is written to the disk each day, and by whom."""
    from tui.cli import wear as meter

    meter.show(session, as_json=args.json)


def broker_status(session: Session, args: Namespace) -> bool:
    """Whether the message broker runs, and where programs reach it; exit 1 when it is wanted and does not run."""
    from tui.cli import broker

    return broker.show(session, as_json=args.json)


def ca_show(session: Session, args: Namespace) -> None:
    """How a phone or a PC comes to trust this box: address, fingerprint, steps."""
    from tui.cli import ca

    ca.show(session, as_json=args.json)


def ca_qr(session: Session, args: Namespace) -> None:
    """Draw a QR code of the page that a phone installs the authority from."""
    from tui.cli import ca

    ca.qr(session, name=args.name, as_json=args.json)


def ca_save(session: Session, args: Namespace) -> None:
    """Write the authority's certificate to a file, or print it."""
    from tui.cli import ca

    ca.save(session, args.file, as_json=args.json)


def _reason(parser: ArgumentParser) -> None:
    parser.add_argument("--reason", metavar="TEXT", default="", help="what people read meanwhile")


def _end(parser: ArgumentParser) -> None:
    parser.add_argument("--end", action="store_true", help="only end the one there is")


def _name(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", default="", help="a name or address of the box to lead to")


def _file(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="- is standard output")


_OPTIONS: dict[str, Options] = {
    "maintenance on": _reason,
    "maintenance off": lambda parser: None,
    "metrics token": _end,
    "ca qr": _name,
    "ca save": _file,
}
COMMANDS: dict[str, Command] = {
    "maintenance on": maintenance_on,
    "maintenance off": maintenance_off,
    "maintenance show": maintenance_show,
    "alerts list": alerts_list,
    "alerts test": alerts_test,
    "metrics show": metrics_show,
    "metrics token": metrics_token,
    "wear": wear,
    "broker status": broker_status,
    "ca show": ca_show,
    "ca qr": ca_qr,
    "ca save": ca_save,
}
EXAMPLES = {
    "maintenance on": 'weir maintenance on --reason "new switch in the cabinet"',
    "maintenance off": "weir maintenance off",
    "maintenance show": "weir maintenance show",
    "alerts list": "weir alerts list",
    "alerts test": "weir alerts test",
    "metrics show": "weir metrics show",
    "metrics token": "weir metrics token",
    "wear": "weir wear",
    "broker status": "weir broker status",
    "ca show": "weir ca show",
    "ca qr": "weir ca qr",
    "ca save": "weir ca save weir-ca.pem",
}
