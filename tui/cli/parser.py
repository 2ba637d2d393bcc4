"""The shape of the command line: which commands there are and what they take.

argparse, because a command has to answer within 0.4 s: typer loads pydantic, which alone takes a third of that.
"""

from __future__ import annotations

from argparse import Action, ArgumentParser, ArgumentTypeError, Namespace, _SubParsersAction
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from tui.cli import (
    backup_commands,
    catalogue_commands,
    library_commands,
    limit_options,
    operations_commands,
    people_options,
    snapshot_commands,
    ssh_keys,
    upgrade_commands,
)
from tui.cli.examples import EXAMPLES

WAIT_S = 180.0
SETTINGS = (
    "name=NEW, stack=NAME, type=NAME; settings of Node-RED such as theme=dark, palette.allowInstall=off; "
    "crash-policy=retry|safe|stop, safe-mode=on|off, hot-spare=on|off, health-interval=SECONDS, "
    "install-timeout=SECONDS, start-after=NAME,… or broker; 'default' takes a setting back"
)
GROUPS = {
    "instance": "make, watch and control instances",
    "name": "the names under which browsers reach the box",
    "stack": "the Node.js and Node-RED that instances run on",
    "launcher": "the published launcher, instead of Weir's own",
    "token": "personal access tokens",
    **people_options.GROUPS,
    **ssh_keys.GROUPS,
    **snapshot_commands.GROUPS,
    **catalogue_commands.GROUPS,
    **library_commands.GROUPS,
    **backup_commands.GROUPS,
    **operations_commands.GROUPS,
    **upgrade_commands.GROUPS,
}
APPLIANCE = {
    "up": "Start the box.",
    "down": "Stop the box with all instances.",
    "serve": "Be the appliance, in the foreground.",
    "migrate": "Bring the database to this version's schema.",
    "stack build": "Build a stack on this box.",
    "launcher install": "Install the published launcher on this box.",
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
    groups: dict[str, Subparsers] = {}
    for name, text in GROUPS.items():
        above, _, last = name.rpartition(" ")
        groups[name] = _group(groups[above] if above else verbs, last, text)
    for name, command in commands.items():
        if name:
            *group, verb = name.split()
            text = APPLIANCE.get(name) or (command.__doc__ or "").partition("\n")[0]
            _add(groups[" ".join(group)] if group else verbs, name, verb, text)
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
    parser.add_argument("--box", metavar="NAME", default="", help="a box that is known by name: the screen :box")
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
    example = f"Example: {EXAMPLES[name]}" if name in EXAMPLES else None
    parser = verbs.add_parser(
        verb, help=text, description=text, epilog=example, add_help=name not in APPLIANCE, allow_abbrev=False
    )
    parser.set_defaults(command=name)
    if name in APPLIANCE:
        return
    if name.startswith("instance ") and verb != "list":
        _instance_options(parser, verb)
    elif name in ("name add", "name remove"):
        text = "host name or address, with the port where it differs: plant.example:8443"
        parser.add_argument("name", metavar="NAME", help=text)
    elif (add := _options(name)) is not None:
        add(parser)
    elif name == "ui":
        parser.add_argument("--rich", action="store_true", help="all colours and rates, also over SSH")
        parser.add_argument("--low", action="store_true", help="as few bytes as can be, also locally")
        return
    if verb not in ("open", "completion"):
        parser.add_argument("--json", action="store_true", help="print the API's object")


def _options(name: str) -> people_options.Options | None:
    known = (
        people_options.options,
        snapshot_commands.options,
        catalogue_commands.options,
        library_commands.options,
        backup_commands.options,
        operations_commands.options,
        upgrade_commands.options,
        ssh_keys.OPTIONS.get,
    )
    return next((found for each in known if (found := each(name)) is not None), None)


def _instance_options(parser: ArgumentParser, verb: str) -> None:
    parser.add_argument("name", metavar="NAME", help="letters, digits and '-'" if verb == "create" else "name or id")
    if verb == "create":
        parser.add_argument("--flows", metavar="FILE", default="", help="flows to begin with; - is standard input")
        parser.add_argument("--application", metavar="APP", default="", help="name or id of the application")
        for option, what in (("stack", "stack"), ("type", "instance type"), ("template", "template")):
            text = f"name or id of the {what}; else the usual one"
            parser.add_argument(f"--{option}", metavar=option.upper(), default="", help=text)
    if verb == "copy":
        catalogue_commands.copy_options(parser)
    if verb == "limits":
        limit_options.options(parser)
    if verb == "set":
        parser.add_argument("settings", metavar="KEY=VALUE", nargs="+", help=SETTINGS)
    if verb == "kept":
        parser.add_argument("kept", metavar="DEPLOY", nargs="?", default="", help="id or name; without it: the list")
        parser.add_argument("--out", metavar="FILE", default="", help="write its flows there; - is standard output")
        parser.add_argument("--restore", action="store_true", help="make it the instance's flows and restart it")
        parser.add_argument("--discard", action="store_true", help="forget it for good")
    if verb == "delete":
        parser.add_argument("--yes", action="store_true", help="do not ask for the name")
    if verb == "logs":
        parser.add_argument("-f", "--follow", action="store_true", help="go on with what comes, until Ctrl-C")
        parser.add_argument("-n", "--lines", type=_count, metavar="N", help="newest entries to begin with (50)")
        text = "2h, 15m, 3d ago, or a time: 2026-11-23T15:04"
        parser.add_argument("--since", type=_moment, metavar="TIME", help=f"entries from then on; {text}")
        parser.add_argument("--until", type=_moment, metavar="TIME", help="no entries after that")
    if verb == "crashes":
        parser.add_argument("-n", "--lines", type=_count, default=3, metavar="N", help="newest crashes to show")
    if verb == "restart":
        manner = parser.add_mutually_exclusive_group()
        manner.add_argument("--safe", action="store_true", help="in safe mode: the editor opens, no flow runs")
        manner.add_argument("--now", action="store_true", help="kill what runs instead of asking it to end")
    if verb in ("create", "start", "stop", "restart", "suspend", "delete"):
        parser.add_argument("--wait", action="store_true", help="return when it is done; follow the states meanwhile")
        parser.add_argument("--timeout", type=_seconds, default=WAIT_S, metavar="SECONDS", help="longest wait")


def _count(text: str) -> int:
    if not text.isdecimal():
        raise ValueError
    return int(text)


def _moment(text: str) -> object:
    from tui.cli.logs import moment  # only where it is needed: it loads the client

    try:
        return moment(text)
    except ValueError as error:
        raise ArgumentTypeError(f"'{text[:40]}' is no time: say 15m, 2h, 3d, or 2026-11-23T15:04") from error


def _seconds(text: str) -> float:
    found = float(text)
    if not 0 < found <= 86400:
        raise ValueError
    return found
