"""The commands about snapshots and HTTP tokens: what each is called, what it takes, and what carries it out."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable

from tui.cli.people_options import until
from tui.cli.session import Session

Command = Callable[[Session, Namespace], bool | None]
Options = Callable[[ArgumentParser], None]
GROUPS = {
    "snapshot": "what instances were at some time: keep, compare, carry elsewhere, put back",
    "http-token": "tokens that programs use the HTTP endpoints of flows with",
}


def options(name: str) -> Options | None:
    """What adds the options of this command; None where it is not one of these."""
    return _OPTIONS.get(name)


def create(session: Session, args: Namespace) -> None:
    """Keep what an instance is now as a snapshot."""
    from tui.cli import snapshots

    snapshots.create(session, args)


def list_all(session: Session, args: Namespace) -> None:
    """The snapshots of an instance, newest first."""
    from tui.cli import snapshots

    snapshots.list_all(session, args)


def show(session: Session, args: Namespace) -> None:
    """What a snapshot holds, without its secrets."""
    from tui.cli import snapshots

    snapshots.show(session, args)


def edit(session: Session, args: Namespace) -> None:
    """Rename or describe a snapshot."""
    from tui.cli import snapshots

    snapshots.edit(session, args)


def export(session: Session, args: Namespace) -> None:
    """Write a snapshot as a file, its secrets encrypted."""
    from tui.cli import snapshots

    snapshots.export(session, args)


def take(session: Session, args: Namespace) -> None:
    """Keep a file as a snapshot; the instance itself does not change."""
    from tui.cli import snapshots

    snapshots.take(session, args)


def restore(session: Session, args: Namespace) -> None:
    """Make a snapshot what the instance is; what it was is kept."""
    from tui.cli import snapshots

    snapshots.restore(session, args)


def delete(session: Session, args: Namespace) -> None:
    """Delete a snapshot for good."""
    from tui.cli import snapshots

    snapshots.delete(session, args)


def diff(session: Session, args: Namespace) -> None:
    """What changed since a snapshot, or between two."""
    from tui.cli import snapshots

    snapshots.compare(session, args)


def token_create(session: Session, args: Namespace) -> None:
    """Make a token for the HTTP endpoints of an instance's flows."""
    from tui.cli import http_tokens

    http_tokens.create(session, args)


def token_list(session: Session, args: Namespace) -> None:
    """The tokens for the HTTP endpoints of an instance's flows."""
    from tui.cli import http_tokens

    http_tokens.list_all(session, args)


def token_edit(session: Session, args: Namespace) -> None:
    """Rename such a token, or let it end at another time."""
    from tui.cli import http_tokens

    http_tokens.edit(session, args)


def token_delete(session: Session, args: Namespace) -> None:
    """End such a token."""
    from tui.cli import http_tokens

    http_tokens.delete(session, args)


def _instance(parser: ArgumentParser) -> None:
    parser.add_argument("instance", metavar="INSTANCE", help="name or id")


def _snapshot(parser: ArgumentParser) -> None:
    _instance(parser)
    parser.add_argument("snapshot", metavar="SNAPSHOT", help="id, or name: the newest of that name")


def _create(parser: ArgumentParser) -> None:
    _instance(parser)
    parser.add_argument("--name", metavar="NAME", default="", help="what it is called; the time, if left out")
    parser.add_argument("--description", metavar="TEXT", default=None, help="why it was made")


def _edit(parser: ArgumentParser) -> None:
    _snapshot(parser)
    parser.add_argument("--name", metavar="NAME", default=None, help="another name")
    parser.add_argument("--description", metavar="TEXT", default=None, help="another description")


def _secret(parser: ArgumentParser) -> None:
    text = "holds the credential secret; - is standard input; or set WEIR_SNAPSHOT_SECRET"
    parser.add_argument("--secret-file", metavar="FILE", default="", help=text)
    parser.add_argument("--without-credentials", action="store_true", help="leave credentials out")


def _export(parser: ArgumentParser) -> None:
    _snapshot(parser)
    _secret(parser)
    parser.add_argument("--env", choices=("all", "keys", "none"), default="all", help="variables: all, names, none")
    parser.add_argument("-o", "--out", metavar="FILE", default="", help="where to; standard output, if left out")


def _take(parser: ArgumentParser) -> None:
    _instance(parser)
    parser.add_argument("file", metavar="FILE", help="an exported snapshot, or flows; - is standard input")
    parser.add_argument("--name", metavar="NAME", default="", help="what it is called here")
    _secret(parser)


def _restore(parser: ArgumentParser) -> None:
    _snapshot(parser)
    parser.add_argument("--wait", action="store_true", help="return when the instance runs again")
    parser.add_argument("--timeout", type=float, default=180.0, metavar="SECONDS", help="longest wait")


def _delete(parser: ArgumentParser) -> None:
    _snapshot(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask for the name")


def _diff(parser: ArgumentParser) -> None:
    _snapshot(parser)
    text = "another snapshot; what the instance is now, if left out"
    parser.add_argument("other", metavar="OTHER", nargs="?", default="", help=text)


def _token(parser: ArgumentParser) -> None:
    _instance(parser)
    parser.add_argument("name", metavar="TOKEN", help="name or id")


def _token_create(parser: ArgumentParser) -> None:
    _instance(parser)
    parser.add_argument("name", metavar="NAME", help="what it is for")
    parser.add_argument("--expires", type=until, default=None, metavar="TIME", help="30d, 12h, 2027-01-31, never")


def _token_edit(parser: ArgumentParser) -> None:
    _token(parser)
    parser.add_argument("--rename", metavar="NAME", default=None, help="another name")
    parser.add_argument("--expires", type=until, default=None, metavar="TIME", help="30d, 12h, 2027-01-31, never")


def _token_delete(parser: ArgumentParser) -> None:
    _token(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask for the name")


COMMANDS: dict[str, Command] = {
    "snapshot create": create,
    "snapshot list": list_all,
    "snapshot show": show,
    "snapshot edit": edit,
    "snapshot export": export,
    "snapshot import": take,
    "snapshot restore": restore,
    "snapshot delete": delete,
    "snapshot diff": diff,
    "http-token create": token_create,
    "http-token list": token_list,
    "http-token edit": token_edit,
    "http-token delete": token_delete,
}
_OPTIONS: dict[str, Options] = {
    "snapshot create": _create,
    "snapshot list": _instance,
    "snapshot show": _snapshot,
    "snapshot edit": _edit,
    "snapshot export": _export,
    "snapshot import": _take,
    "snapshot restore": _restore,
    "snapshot delete": _delete,
    "snapshot diff": _diff,
    "http-token create": _token_create,
    "http-token list": _instance,
    "http-token edit": _token_edit,
    "http-token delete": _token_delete,
}
