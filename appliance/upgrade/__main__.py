"""`python -m appliance.upgrade`: what `install.sh`, `weir upgrade` and two units run. Nobody types it."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from appliance.config import INSTALLED, Home
from appliance.errors import WeirError


def main(argv: Sequence[str] | None = None) -> int:
    """0 done, 1 refused or switched back, with the reason on stderr."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(Home(INSTALLED), arguments) or 0)
    except WeirError as error:
        print(f"weir: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"      {error.hint}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m appliance.upgrade")
    verbs = parser.add_subparsers(required=True)
    switch = verbs.add_parser("switch", help="use another installed release (root)")
    switch.add_argument("release", help="its name below /opt/weir/releases")
    switch.add_argument("--locked", action="store_true", help="whoever starts this holds the lock of install.sh")
    switch.set_defaults(run=_switch)
    resume = verbs.add_parser("resume", help="end an interrupted upgrade (root, at boot)")
    resume.add_argument("--locked", action="store_true", help="as above")
    resume.set_defaults(run=_resume)
    verbs.add_parser("tidy", help="remove old releases (root)").set_defaults(run=_tidy)
    listed = verbs.add_parser("list", help="the installed releases")
    listed.add_argument("--json", action="store_true")
    listed.set_defaults(run=_list)
    bundle = verbs.add_parser("bundle", help="make a bundle for boxes without a network")
    bundle.add_argument("file")
    bundle.add_argument("--palette", action="append", default=[])
    bundle.add_argument("--debian", action="store_true")
    bundle.set_defaults(run=_bundle)
    verbs.add_parser("schema", help="the schema of the database (_weir)").set_defaults(run=_schema)
    verbs.add_parser("rehearse", help="migrate a copy of the database (_weir)").set_defaults(run=_rehearse)
    restore = verbs.add_parser("restore", help="put the database back (_weir)")
    restore.add_argument("schema")
    restore.add_argument("since", type=float)
    restore.set_defaults(run=_restore)
    return parser


def _switch(home: Home, arguments: argparse.Namespace) -> None:
    from appliance.upgrade.releases import Releases
    from appliance.upgrade.switch import Switch

    _go_on_alone()
    releases = Releases()
    with nullcontext() if arguments.locked else releases.alone():
        Switch(home, releases, _say).to(releases.named(arguments.release))


def _resume(home: Home, arguments: argparse.Namespace) -> None:
    from appliance.upgrade.releases import Releases
    from appliance.upgrade.switch import Switch

    _go_on_alone()
    releases = Releases()
    with nullcontext() if arguments.locked else releases.alone():
        if said := Switch(home, releases, _say).resume():
            _say(said)


def _go_on_alone() -> None:
    """A connection that breaks must not leave the box between two releases."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)


def _tidy(_: Home, __: argparse.Namespace) -> None:
    from appliance.errors import Unavailable
    from appliance.upgrade.leftovers import Leftovers
    from appliance.upgrade.releases import Releases

    for name in Leftovers().tidy():
        _say(f"removed the limits of the instance {name}, which is gone")
    releases = Releases()
    try:
        with releases.alone(wait_s=0):
            for name in releases.tidy():
                _say(f"removed the release {name}")
    except Unavailable as error:  # an upgrade is under way: tomorrow
        _say(f"no old release is removed: {error.message}")


def _list(_: Home, arguments: argparse.Namespace) -> None:
    from appliance.upgrade.releases import Releases

    releases = Releases()
    in_use = releases.in_use()
    if arguments.json:
        _say(json.dumps({"releases": [{"name": each.name, "inUse": each == in_use} for each in releases.all()]}))
        return
    for each in releases.all():
        _say(f"{each.name}{'  in use' if each == in_use else ''}")


def _bundle(_: Home, arguments: argparse.Namespace) -> None:
    from appliance.upgrade import bundle

    target = Path(arguments.file).absolute()
    bundle.make(target, arguments.palette, debian=arguments.debian, say=_say)
    _say(f"{target}: {target.stat().st_size / 1e6:.0f} MB")


def _schema(home: Home, _: argparse.Namespace) -> None:
    from appliance.upgrade import database

    _say(database.schema(home))


def _rehearse(home: Home, _: argparse.Namespace) -> None:
    from appliance.upgrade import database

    _say(database.rehearse(home))


def _restore(home: Home, arguments: argparse.Namespace) -> None:
    from appliance.upgrade import database

    done = database.restore(home, arguments.schema, arguments.since)
    if done is None:
        return
    copy, note = done
    _say(f"the database is as it was: {copy.name}")
    if note.carried:
        _say(f"with what was deployed since in {', '.join(note.carried)}")
    if not note.whole:
        _say("other changes were made since; they are set aside: weir problems")


def _say(line: str) -> None:
    try:
        print(line, flush=True)
    except OSError:  # nobody listens any more; what is under way goes on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
