"""The commands about the library of a team, search and completion: names, what they take, what carries them out."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable

from tui.cli.session import Session

Command = Callable[[Session, Namespace], bool | None]
Options = Callable[[ArgumentParser], None]
GROUPS = {"library": "flows and functions that the editors of a team share"}


def options(name: str) -> Options | None:
    """What adds the options of this command; None where it is not one of these."""
    return _OPTIONS.get(name)


def list_all(session: Session, args: Namespace) -> None:
    """The entries of a team's library."""
    from tui.cli import library

    library.list_all(session, args)


def get(session: Session, args: Namespace) -> None:
    """Print an entry, or write it to a file."""
    from tui.cli import library

    library.get(session, args)


def put(session: Session, args: Namespace) -> None:
    """Keep a file as an entry, in place of the one with its path."""
    from tui.cli import library

    library.put(session, args)


def move(session: Session, args: Namespace) -> None:
    """Give an entry, or a folder, another path."""
    from tui.cli import library

    library.move(session, args)


def delete(session: Session, args: Namespace) -> None:
    """Delete an entry, or a folder with all that is in it."""
    from tui.cli import library

    library.delete(session, args)


def search(session: Session, args: Namespace) -> None:
    """The applications and instances with a text in their name."""
    from tui.cli import library

    library.search(session, args)


def completion(session: Session, args: Namespace) -> None:
    """Print what a shell needs to complete commands and names."""
    from tui.cli.completing import SCRIPTS

    print(SCRIPTS[args.shell], end="")


def _team(parser: ArgumentParser) -> None:
    parser.add_argument("--team", metavar="TEAM", default="", help="slug, name or id; else your only team")


def _kind(parser: ArgumentParser) -> None:
    parser.add_argument("--type", metavar="KIND", default="", help="flows, functions, templates, …; else any")


def _list(parser: ArgumentParser) -> None:
    _team(parser)
    _kind(parser)
    parser.add_argument("--search", metavar="TEXT", default="", help="those only whose path contains it")


def _entry(parser: ArgumentParser) -> None:
    parser.add_argument("entry", metavar="ENTRY", help="its path: pumps/start")
    _team(parser)
    _kind(parser)


def _get(parser: ArgumentParser) -> None:
    _entry(parser)
    parser.add_argument("-o", "--out", metavar="FILE", default="", help="write it there; - is standard output")


def _put(parser: ArgumentParser) -> None:
    parser.add_argument("entry", metavar="ENTRY", help="its path: pumps/start")
    parser.add_argument("file", metavar="FILE", help="what to keep; - is standard input")
    _team(parser)
    text = "what it is: flows (JSON), functions, templates, …; else flows for .json and functions for all else"
    parser.add_argument("--type", metavar="KIND", default="", help=text)


def _move(parser: ArgumentParser) -> None:
    parser.add_argument("entry", metavar="ENTRY", help="an entry, or a folder")
    parser.add_argument("to", metavar="NEW", help="its new path")
    _team(parser)
    _kind(parser)


def _delete(parser: ArgumentParser) -> None:
    _entry(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask for the path")


def _search(parser: ArgumentParser) -> None:
    parser.add_argument("text", metavar="TEXT", help="a part of the name, in any case")
    _team(parser)


def _completion(parser: ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh"), help="for which shell")


_OPTIONS: dict[str, Options] = {
    "library list": _list,
    "library get": _get,
    "library put": _put,
    "library move": _move,
    "library delete": _delete,
    "search": _search,
    "completion": _completion,
}
COMMANDS: dict[str, Command] = {
    "library list": list_all,
    "library get": get,
    "library put": put,
    "library move": move,
    "library delete": delete,
    "search": search,
    "completion": completion,
}
