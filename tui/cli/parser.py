"""The shape of the command line: which commands there are and what they take.

argparse, because a command has to answer within 0.4 s: typer loads pydantic, which alone takes a third of that.
"""

from __future__ import annotations

from argparse import Action, ArgumentParser, Namespace, _SubParsersAction
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

WAIT_S = 180.0
GROUPS = {
    "instance": "make, watch and control instances",
    "name": "the names under which browsers reach the box",
    "stack": "the Node.js and Node-RED that instances run on",
    "token": "personal access tokens",
}
APPLIANCE = {
    "up": "Start the box.",
    "down": "Stop the box with all instances.",
    "serve": "Be the appliance, in the foreground.",
    "migrate": "Bring the database to this version's schema.",
    "stack build": "Build a stack on this box.",
}
Subparsers: TypeAlias = "_SubParsersAction[ArgumentParser]"  # a generic only to type checkers


class Version(Action):
    """Prints the version; reading it takes long enough not to do it for every command."""

    def __call__(self, parser: ArgumentParser, *_: Any) -> None:  # the three further arguments are argparse's
        from importlib.metadata import version

        print(f"weir {version('weir')}")
        parser.exit()


def build(commands: Mapping[str, Callable[..., object]]) -> ArgumentParser:
    """A parser for `commands`: their names are words separated by blanks, their help is the first docstring line."""
    parser = ArgumentParser(
        prog="weir",
        description="Many Node-RED instances on one box. Alone: the screens on a terminal, else the status.",
        allow_abbrev=False,
    )
    _box_options(parser)
    parser.set_defaults(command="", json=False, rest=[])
    verbs = parser.add_subparsers(metavar="COMMAND")
    groups = {name: _group(verbs, name, text) for name, text in GROUPS.items()}
    for name, command in commands.items():
        if name:
            *group, verb = name.split()
            text = APPLIANCE.get(name) or (command.__doc__ or "").partition("\n")[0]
            _add(groups[group[0]] if group else verbs, name, verb, text)
    return parser


def parse(parser: ArgumentParser, arguments: Sequence[str]) -> Namespace:
    """The arguments, checked. Exits with 2 and the usage on stderr when they are wrong."""
    args, rest = parser.parse_known_args(arguments)
    if rest and args.command not in APPLIANCE:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    args.rest = rest
    return args


def _box_options(parser: ArgumentParser) -> None:
    parser.add_argument("--home", metavar="DIR", default="", help="the box's directory on this machine")
    parser.add_argument("--url", metavar="URL", default="", help="a box elsewhere; needs a token")
    parser.add_argument("--token-file", metavar="FILE", default="", help="holds the token; or set WEIR_TOKEN")
    parser.add_argument("--token", metavar="@FILE", default="", help="the same, as @FILE")
    parser.add_argument("--ca", metavar="FILE", default="", help="CA of a box elsewhere, PEM")
    parser.add_argument("--version", action=Version, nargs=0, help="print the version")


def _group(verbs: Subparsers, name: str, text: str) -> Subparsers:
    group = verbs.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False)
    return group.add_subparsers(metavar="COMMAND", required=True)


def _add(verbs: Subparsers, name: str, verb: str, text: str) -> None:
    # A verb of the appliance explains itself: its --help is passed on.
    parser = verbs.add_parser(verb, help=text, description=text, add_help=name not in APPLIANCE, allow_abbrev=False)
    parser.set_defaults(command=name)
    if name in APPLIANCE:
        return
    if name.startswith("instance ") and verb != "list":
        _instance_options(parser, verb)
    elif name == "audit":
        parser.add_argument("name", metavar="NAME", nargs="?", default="", help="an instance; else the whole team")
        parser.add_argument("-n", "--lines", type=_count, default=50, metavar="N", help="newest entries to show")
    elif name in ("name add", "name remove"):
        text = "host name or address, with the port where it differs: plant.example:8443"
        parser.add_argument("name", metavar="NAME", help=text)
    elif name == "token create":
        parser.add_argument("name", metavar="NAME", help="what the token is for")
    elif name == "ui":
        parser.add_argument("--rich", action="store_true", help="all colours and rates, also over SSH")
        parser.add_argument("--low", action="store_true", help="as few bytes as can be, also locally")
        return
    if verb != "open":
        parser.add_argument("--json", action="store_true", help="print the API's object")


def _instance_options(parser: ArgumentParser, verb: str) -> None:
    parser.add_argument("name", metavar="NAME", help="letters, digits and '-'" if verb == "create" else "name or id")
    if verb == "create":
        parser.add_argument("--flows", metavar="FILE", default="", help="flows to begin with; - is standard input")
        parser.add_argument("--application", metavar="APP", default="", help="name or id of the application")
    if verb == "delete":
        parser.add_argument("--yes", action="store_true", help="do not ask for the name")
    if verb == "logs":
        parser.add_argument("-f", "--follow", action="store_true", help="go on with what comes, until Ctrl-C")
        parser.add_argument("-n", "--lines", type=_count, default=50, metavar="N", help="entries to begin with")
    if verb in ("create", "start", "stop", "restart", "suspend", "delete"):
        parser.add_argument("--wait", action="store_true", help="return when it is done; follow the states meanwhile")
        parser.add_argument("--timeout", type=_seconds, default=WAIT_S, metavar="SECONDS", help="longest wait")


def _count(text: str) -> int:
    if not text.isdecimal():
        raise ValueError
    return int(text)


def _seconds(text: str) -> float:
    found = float(text)
    if not 0 < found <= 86400:
        raise ValueError
    return found
