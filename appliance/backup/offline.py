"""`python -m appliance restore`: for a box that is down, and for one that is not there yet."""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from appliance.backup import container, crypt
from appliance.backup.restore import Restored, Wanted, restore
from appliance.config import Home
from appliance.errors import Conflict, Invalid
from appliance.main import lock_of, prepare
from appliance.up import down

Say = Callable[[str], None]


def run(home: Home, arguments: argparse.Namespace, say: Say) -> None:
    """Restore, and say what the box is now. Raises WeirError: then the box is as it was."""
    file = Path(arguments.file).absolute()
    seen = container.opened(file)  # before anything is asked or stopped
    passphrase, secrets = _given(seen, arguments)
    wanted = Wanted(file=file, passphrase=passphrase, secrets=secrets, replace=arguments.replace)
    tell = (lambda _: None) if arguments.json else say
    prepare(home)
    lock = lock_of(home)
    if (pid := lock.holder()) is not None:
        hint = "Stop it first: ./dev down, or on an installed box: weir backup restore as root, which does it."
        raise Conflict(f"Weir runs at {home.root} as pid {pid}.", code="box_runs", hint=hint)
    down(home, lambda _: None)  # launchers whose appliance was killed
    lock.acquire()
    try:
        done = restore(home, wanted, lambda step, _: tell(step))
    finally:
        lock.release()
    if arguments.json:
        say(msgspec.json.encode(done).decode())
    else:
        _print(done, say)


def _given(seen: container.Opened, arguments: argparse.Namespace) -> tuple[str | None, tuple[str, ...]]:
    """Passphrase and keys, from files or from whoever sits at the terminal; never from the command line."""
    if arguments.key_file:
        return None, tuple(crypt.secrets_from(Path(arguments.key_file)))
    if arguments.passphrase_file:
        return _first_line(Path(arguments.passphrase_file)), ()
    if not sys.stdin.isatty():
        return None, ()
    if seen.locked_key is not None:
        return getpass.getpass("Passphrase of the backup: "), ()
    return None, tuple(crypt.secrets_in(getpass.getpass("Key of the backup (AGE-SECRET-KEY-1…): ")))


def _first_line(file: Path) -> str:
    try:
        return file.read_text("utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        hint = "Name a file whose first line is the passphrase."
        raise Invalid(f"The passphrase file {file} can't be read: {error}.", hint=hint) from error


def _print(done: Restored, say: Say) -> None:
    names = ", ".join(done.instances) or "no instances"
    say(f"Restored the backup of {done.made_at} from {done.host}: {names}; {done.files} files in {done.took_s:.1f} s.")
    for note in done.notes:
        say(f"- {note}")
    say("Start the box: ./dev up, or on an installed box: systemctl start weir")
