"""The commands about backups: what each is called, what it takes, and what carries it out."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable

from tui.cli.session import Session

Command = Callable[[Session, Namespace], bool | None]
Options = Callable[[ArgumentParser], None]
GROUPS = {"backup": "everything of the box in one encrypted file: make, prove, put back"}
TARGET = "a folder, mount:FOLDER for a stick that has to be mounted, rclone:REMOTE:PATH, or '' for the box's own"


def options(name: str) -> Options | None:
    """What adds the options of this command; None where it is not one of these."""
    return _OPTIONS.get(name)


def create(session: Session, args: Namespace) -> None:
    """Make a backup of the whole box."""
    from tui.cli import backup

    backup.create(session, args)


def list_all(session: Session, args: Namespace) -> None:
    """The backups, newest first, and when each was proven."""
    from tui.cli import backup

    backup.list_all(session, args)


def verify(session: Session, args: Namespace) -> None:
    """Prove a backup: restore it beside the box and start what is in it, without its flows."""
    from tui.cli import backup

    backup.verify(session, args)


def restore(session: Session, args: Namespace) -> bool:
    """Make this box the box of a backup."""
    from tui.cli import backup_restore

    return backup_restore.restore(session, args)


def schedule(session: Session, args: Namespace) -> None:
    """When backups are made by themselves, and where they go; without options: as it is."""
    from tui.cli import backup

    backup.schedule(session, args)


def key(session: Session, args: Namespace) -> None:
    """Make the key of the box's backups, or name one; the secret is shown once."""
    from tui.cli import backup

    backup.key(session, args)


def delete(session: Session, args: Namespace) -> None:
    """Delete a backup with its file."""
    from tui.cli import backup

    backup.delete(session, args)


def cancel(session: Session, args: Namespace) -> None:
    """End the backup, or the proof, that is under way."""
    from tui.cli import backup

    backup.cancel(session, args)


def _opening(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--passphrase-file", metavar="FILE", default="", help="holds its passphrase; else you are asked"
    )
    parser.add_argument("--key-file", metavar="FILE", default="", help="holds the secret of its key, AGE-SECRET-KEY-1…")


def _create(parser: ArgumentParser) -> None:
    parser.add_argument("--passphrase", action="store_true", help="ask for a passphrase, also where there is a key")
    parser.add_argument("--passphrase-file", metavar="FILE", default="", help="holds the passphrase")
    _what(parser)
    parser.add_argument("--detach", action="store_true", help="return when it has begun")
    parser.add_argument("--due", action="store_true", help="only if the schedule says so")


def _what(parser: ArgumentParser) -> None:
    text = "installed modules too, so that a restore needs no network"
    parser.add_argument("--packages", choices=("on", "off"), default=None, help=text)
    parser.add_argument("--to", metavar="TARGET", default=None, help=TARGET)


def _verify(parser: ArgumentParser) -> None:
    parser.add_argument("backup", metavar="ID", nargs="?", default="latest", help="as in the list; else the newest")
    _opening(parser)


def _restore(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="the file of a backup")
    _opening(parser)
    parser.add_argument("--replace", action="store_true", help="also when the box has instances; they are kept beside")
    parser.add_argument("--yes", action="store_true", help="stop the box without asking")


def _schedule(parser: ArgumentParser) -> None:
    parser.add_argument("--every", choices=("off", "hour", "day", "week"), default=None, help="how often")
    parser.add_argument("--at", metavar="HH:MM", default=None, help="in the box's time zone")
    text = "of a weekly one: 0 is Monday, 6 Sunday"
    parser.add_argument("--weekday", type=int, metavar="N", default=None, help=text)
    parser.add_argument("--keep", type=int, metavar="N", default=None, help="older ones are deleted")
    _what(parser)


def _key(parser: ArgumentParser) -> None:
    parser.add_argument("--recipient", metavar="AGE1…", default="", help="one that was made elsewhere: age-keygen")


def _delete(parser: ArgumentParser) -> None:
    parser.add_argument("backup", metavar="ID", help="as in the list")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def _none(parser: ArgumentParser) -> None:
    pass


COMMANDS: dict[str, Command] = {
    "backup create": create,
    "backup list": list_all,
    "backup verify": verify,
    "backup restore": restore,
    "backup schedule": schedule,
    "backup key": key,
    "backup delete": delete,
    "backup cancel": cancel,
}
_OPTIONS: dict[str, Options] = {
    "backup create": _create,
    "backup list": _none,
    "backup verify": _verify,
    "backup restore": _restore,
    "backup schedule": _schedule,
    "backup key": _key,
    "backup delete": _delete,
    "backup cancel": _none,
}
EXAMPLES = {
    "backup create": "weir backup create --to mount:/media/stick --packages on",
    "backup list": "weir backup list",
    "backup verify": "weir backup verify --key-file backup.key",
    "backup restore": "weir backup restore /media/stick/weir-box-20261123T023000Z-pZ3k.weir --key-file backup.key",
    "backup schedule": "weir backup schedule --every day --at 02:30 --keep 7",
    "backup key": "weir backup key",
    "backup delete": "weir backup delete pZ3kq0XbNw --yes",
    "backup cancel": "weir backup cancel",
}
