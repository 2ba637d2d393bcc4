"""`weir backup restore`: stops the box, puts the backup in its place, starts it again."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tui.cli.session import Session, say
from tui.errors import BoxError, Usage

INSTALLED = Path("/var/lib/weir")
ACCOUNT = "_weir"
SOCKETS = ("weir.socket", "weir-web.socket", "weir-keys.socket")


def restore(session: Session, args: Namespace) -> bool:
    """Do it; whether it succeeded. The program that does it says what is wrong itself. Raises Usage, BoxError."""
    if session.wanted.url:
        raise Usage("a backup is restored on the box itself", hint="Leave out --url; log in there.")
    if not Path(args.file).is_file():
        raise Usage(f"there is no file {args.file}", hint="weir backup list shows where backups are.")
    installed = session.home == INSTALLED
    if installed and os.geteuid() != 0:
        raise BoxError("an installed box is stopped and started by root", hint="Type: sudo weir backup restore FILE")
    if not args.yes and session.on_terminal and not _agreed(session.home):
        raise BoxError("nothing was done")
    if not installed:
        return _restore_here(session, args)
    with _handed_over(args) as given, _stopped():
        return _run(session, given, args)


def _restore_here(session: Session, args: Namespace) -> bool:
    runs = (session.home / "run" / "api.sock").exists()
    if runs and not _appliance(session, "down"):
        return False
    if not _run(session, [args.file, *_opening(args)], args):
        return False
    return not runs or _appliance(session, "up", "--detach")


def _agreed(home: Path) -> bool:
    sys.stderr.write(f"The box at {home} is stopped with all its instances, and replaced. Type yes to go on: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip() == "yes"


def _run(session: Session, given: list[str], args: Namespace) -> bool:
    flags = [*(["--replace"] if args.replace else []), *(["--json"] if args.json else [])]
    return _appliance(session, "restore", *given, *flags)


def _appliance(session: Session, verb: str, *arguments: str) -> bool:
    # -P: a directory called "appliance" where the user happens to stand must not be run instead.
    command = [sys.executable, "-P", "-m", "appliance", verb, "--home", str(session.home), *arguments]
    return subprocess.run(command, check=False).returncode == 0


def _opening(args: Namespace) -> list[str]:
    given = (("--passphrase-file", args.passphrase_file), ("--key-file", args.key_file))
    return [word for option, file in given if file for word in (option, file)]


@contextmanager
def _handed_over(args: Namespace) -> Iterator[list[str]]:
    """The words for the program, which runs as Weir's account: copies of the files that this account may read."""
    account = pwd.getpwnam(ACCOUNT)
    directory = Path(tempfile.mkdtemp(prefix="weir-restore-", dir="/var/tmp"))  # noqa: S108 - not in memory, as /tmp may be
    try:
        directory.chmod(0o711)
        words = [str(_copy(Path(args.file), directory / "backup", account.pw_uid))]
        for option, file in (("--passphrase-file", args.passphrase_file), ("--key-file", args.key_file)):
            if file:
                words += [option, str(_copy(Path(file), directory / option.strip("-"), account.pw_uid))]
        yield words
    except OSError as error:
        raise BoxError(f"the files can't be handed to {ACCOUNT}: {error}", hint="Is /var/tmp full?") from error
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _copy(source: Path, target: Path, uid: int) -> Path:
    # For its owner alone from the first byte on: everybody may look for it in /var/tmp, and it may be the key.
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    with source.open("rb") as read, open(fd, "wb") as written:  # noqa: PTH123 - a descriptor, no path
        shutil.copyfileobj(read, written)
    os.chown(target, uid, -1)
    return target


@contextmanager
def _stopped() -> Iterator[None]:
    # A connection that breaks must not leave the box down.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    say("stopping the box")
    try:
        # The instances after the appliance: it would start anew what ends while it looks.
        for units in ([*SOCKETS, "weir.service"], ["weir-launcher@*.service"]):
            subprocess.run(["systemctl", "stop", *units], check=False)
        yield
    finally:
        with contextlib.suppress(OSError):
            say("starting the box")
        with contextlib.suppress(OSError):
            subprocess.run(["systemctl", "start", *SOCKETS, "weir.service"], check=False)
