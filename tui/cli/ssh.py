"""What sshd starts for who logs in as `weir`: the screens, or one command, as the person whose key it was.

weir --ticket TICKET        the appliance gave the ticket to sshd; it is traded at once, and worth nothing then
weir --rescue               the appliance did not answer, and the key is an administrator's: `weir doctor` only
"""

from __future__ import annotations

import _thread
import contextlib
import os
import shlex
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from appliance.schema.box import Finding
from appliance.schema.ssh import SshSession
from tui.address import SYSTEM_SOCKET, Address, Wanted, find
from tui.cli.session import Session, say, warn
from tui.confined import confine
from tui.errors import BoxError, Usage
from tui.terminal import ends_with_terminal
from tui.wire import decode

DOCTOR = Path("/run/weir-doctor.sock")
DOCTOR_S = 60.0
LARGEST_BYTES = 4 * 1024 * 1024
# What is about the account's own files and programs, or this machine's.
NOT_HERE = frozenset(
    {
        *("up", "down", "serve", "migrate", "stack build", "launcher install", "completion", "backup restore"),
        *("upgrade", "bundle make", "bundle apply"),
    }
)
Run = Callable[[Session, list[str]], int]


def log_in(before: Sequence[str], ticket: str, run: Run) -> int:
    """Trade the ticket, carry out what was asked for, and log out. The exit code of the command.

    `before` is what sshd's command says in front of the ticket: `--home DIR`, for a box elsewhere than usual. `run`
    carries out a command line for a session.
    """
    try:
        address = find(Wanted(home=before[1] if before[:1] == ["--home"] else ""), {})
        confine(address.socket or SYSTEM_SOCKET)
        words = _asked()
        logged_in = _trade(address, ticket)
    except BoxError as error:
        warn(error.message, error.hint)
        return error.exit_code
    try:
        with _watched():
            return run(Session(Wanted(), os.environ, over_ssh=logged_in), words)
    except PermissionError as error:
        warn(error.strerror or str(error), "")
        return 1
    finally:
        _log_out(logged_in)


def refuse(session: Session, command: str, wanted: Wanted) -> None:
    """Raises Usage when this is nothing for a login over SSH; returns for all others, and on the box itself."""
    if not session.over_ssh:
        return
    if wanted != Wanted():
        raise Usage("over SSH it is always this box, as yourself", hint="Leave out --home, --box, --url and the like.")
    if command in NOT_HERE:
        raise Usage(f"'weir {command}' is for the box's own shell, as root", hint="ssh weir@BOX --help lists the rest.")


def rescue() -> int:
    """Say what is wrong with a box whose appliance does not answer. 1 when something is."""
    confine(DOCTOR)
    say("Weir does not answer on this box. This is what can be seen from its directory:")
    try:
        findings = _looked()
    except (OSError, msgspec.MsgspecError) as error:
        warn(f"the box can't be looked at: {error}", "Log in as root: weir doctor; journalctl -u weir")
        return 1
    from tui.cli.doctor import print_finding

    for finding in findings:
        print_finding(finding)
    say("To do something about it, log in with an account of the machine: this key opens nothing else for now.")
    return 0 if all(each.ok for each in findings) else 1


def _watched() -> AbstractContextManager[None]:
    """A command without a terminal is sent no hang-up: what follows a log would do so for ever when its line is gone.
    The screens look after themselves."""
    if sys.stdout.isatty():
        return contextlib.nullcontext()
    return ends_with_terminal(sys.stdout.fileno(), _thread.interrupt_main)


def _asked() -> list[str]:
    try:
        return shlex.split(os.environ.pop("SSH_ORIGINAL_COMMAND", ""))
    except ValueError as error:
        raise Usage(f"the command is not understood: {error}", hint="Close the quotes.") from error


def _trade(address: Address, ticket: str) -> Address:
    from tui.cli.box import Box

    came_from = os.environ.get("SSH_CONNECTION", "").partition(" ")[0]
    with Box(address) as box:
        answer = decode(box.post("/ssh/session", {"ticket": ticket, "address": came_from}), SshSession)
    return msgspec.structs.replace(address, token=answer.token)


def _log_out(address: Address) -> None:
    from tui.cli.box import Box

    with contextlib.suppress(BoxError), Box(address) as box:  # it ends by itself where the box is away
        box.delete("/ssh/session")


def _looked() -> list[Finding]:
    """The findings of a look that the service's own account takes."""
    said = b""
    with socket.socket(socket.AF_UNIX) as door:
        door.settimeout(DOCTOR_S)
        door.connect(str(DOCTOR))
        while len(said) < LARGEST_BYTES and (more := door.recv(65536)):
            said += more
    return msgspec.json.decode(said, type=list[Finding])
