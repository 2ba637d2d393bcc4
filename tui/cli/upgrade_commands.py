"""The commands that bring a box to another release, on the box itself, as root."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable

from tui.cli.session import Session

Command = Callable[[Session, Namespace], bool | None]
Options = Callable[[ArgumentParser], None]
GROUPS = {"bundle": "all that an installation needs in one file, for boxes without a network"}


def options(name: str) -> Options | None:
    """What adds the options of this command; None where it is not one of these."""
    return _OPTIONS.get(name)


def upgrade(session: Session, args: Namespace) -> bool:
    """Bring this box to another release; it goes back by itself when that one does not hold. Without one: list them."""
    from tui.cli import upgrade as work

    return work.upgrade(args.release, as_json=args.json)


def bundle_make(session: Session, args: Namespace) -> bool:
    """Write a bundle on a machine that has a network."""
    from tui.cli import upgrade as work

    return work.make(args.file, args.palette, debian=args.debian, as_json=args.json)


def bundle_apply(session: Session, args: Namespace) -> bool:
    """Bring this box to the release in a bundle, without a network."""
    from tui.cli import upgrade as work

    return work.upgrade(args.file, as_json=args.json)


def _release(parser: ArgumentParser) -> None:
    parser.add_argument(
        "release", nargs="?", default="", help="a bundle, a checkout, or the name of an installed release"
    )


def _make(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="where to write it")
    parser.add_argument(
        "--palette", action="append", default=[], metavar="PACKAGE", help="packages of nodes to put in; may be repeated"
    )
    parser.add_argument("--debian", action="store_true", help="the Debian packages as well, for a fresh machine")


def _apply(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="the bundle")


_OPTIONS: dict[str, Options] = {"upgrade": _release, "bundle make": _make, "bundle apply": _apply}
COMMANDS: dict[str, Command] = {"upgrade": upgrade, "bundle make": bundle_make, "bundle apply": bundle_apply}
EXAMPLES = {
    "upgrade": "weir upgrade weir-0.2.0.bundle",
    "bundle make": "weir bundle make weir.bundle --palette @flowfuse/node-red-dashboard --debian",
    "bundle apply": "weir bundle apply weir.bundle",
}
