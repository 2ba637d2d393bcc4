"""Another program on this terminal while the screens rest: a shell of an instance, or the user's own editor.

The shell gets a terminal of its own, whose keys and output are passed to and fro: a program on ours could push keys
into it that the screens, with all their user's rights, would read afterwards (TIOCSTI).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import pwd
import select
import shlex
import signal
import subprocess
import sys
import tempfile
import termios
import tty
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from tui.errors import BoxError

CHUNK = 65536
LAST_WORDS_S = 0.5  # for what the shell still has to say when it has ended
PASSED_ON = ("TERM", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "COLORTERM")
# What a program may leave behind: mouse reports, pasting marks, the other screen, colours, a hidden cursor.
RESET = b"\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[?1049l\x1b[0m\x1b[?25h\r\n"


class Place(Struct, frozen=True):
    """Where a shell opens, and as whom. `owns_box`: that account can reach everything of the box."""

    directory: Path
    uid: int
    gid: int
    user: str
    owns_box: bool


def place(home: Path, instance_id: str) -> Place:
    """The directory of an instance on this machine, and its user. Raises BoxError when there is no way in."""
    directory = home / "instances" / instance_id
    try:
        seen, box = directory.stat(), home.stat()
    except OSError as error:
        hint = "A shell is opened on the machine of the box, by an account that may look into it."
        raise BoxError(f"cannot look at {directory}: {error.strerror or error}", hint=hint) from error
    if os.geteuid() not in (0, seen.st_uid):
        raise BoxError(f"{directory} belongs to another account", hint="Become root, or that account, and try again.")
    return Place(directory, seen.st_uid, seen.st_gid, _user(seen.st_uid), seen.st_uid in (0, box.st_uid))


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # an account that systemd made for one unit
        return str(uid)


def environment(here: Place, environ: Mapping[str, str]) -> dict[str, str]:
    """A short list: nothing of ours that the instance's user need not know."""
    kept = {name: environ[name] for name in PASSED_ON if name in environ}
    path = "/usr/local/bin:/usr/bin:/bin"
    return kept | {"HOME": str(here.directory), "PATH": path, "USER": here.user, "LOGNAME": here.user}


def login_shell() -> str:
    """What people expect a shell to be."""
    return next((each for each in ("/bin/bash", "/bin/sh") if Path(each).exists()), "/bin/sh")


def run(here: Place, argv: Sequence[str]) -> int:
    """Run a program of an instance on a terminal of its own until it ends; its status. Raises BoxError."""
    with terminal_kept(), _own_terminal() as (master, slave):
        child = _start(here, argv, slave)
        os.close(slave)
        try:
            _pass_to_and_fro(master, child)
        finally:
            if child.poll() is None:
                child.terminate()
        return child.wait()


def _start(here: Place, argv: Sequence[str], slave: int) -> subprocess.Popen[bytes]:
    other = here.uid != os.geteuid()
    try:
        # setsid gives the program the terminal as its controlling one: Ctrl-C and job control work there.
        return subprocess.Popen(
            ["setsid", "--ctty", *argv],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=here.directory,
            env=environment(here, os.environ),
            user=here.uid if other else None,
            group=here.gid if other else None,
            extra_groups=[] if other else None,
        )
    except OSError as error:
        raise BoxError(f"cannot start {argv[0]}: {error.strerror or error}", hint="Is util-linux installed?") from error


@contextlib.contextmanager
def _own_terminal() -> Iterator[tuple[int, int]]:
    """A pair of terminal ends, with our size, which follows ours; the caller closes the slave."""
    master, slave = pty.openpty()

    def resize(*_: object) -> None:
        with contextlib.suppress(OSError):
            fcntl.ioctl(master, termios.TIOCSWINSZ, fcntl.ioctl(sys.stdin.fileno(), termios.TIOCGWINSZ, b"\0" * 8))

    resize()
    before = signal.signal(signal.SIGWINCH, resize)
    try:
        yield master, slave
    finally:
        signal.signal(signal.SIGWINCH, before)
        os.close(master)


def _pass_to_and_fro(master: int, child: subprocess.Popen[bytes]) -> None:
    """Until the program has ended, or our terminal has."""
    keys, screen = sys.stdin.fileno(), sys.__stdout__.fileno() if sys.__stdout__ else 1
    tty.setraw(keys, termios.TCSADRAIN)  # what was typed ahead stays
    ended = os.pidfd_open(child.pid)
    try:
        while True:
            ready, _, _ = select.select([keys, master, ended], [], [])
            if keys in ready:
                typed = os.read(keys, CHUNK)
                if not typed:
                    return
                _write(master, typed)
            if master in ready and not _passed_on(master, screen):
                return
            if ended in ready:  # a program it left behind may hold its terminal open: that does not hold us
                while select.select([master], [], [], LAST_WORDS_S)[0] and _passed_on(master, screen):
                    pass
                return
    finally:
        os.close(ended)


def _passed_on(master: int, screen: int) -> bool:
    """Whether there was something; a terminal that nobody holds any more fails with EIO."""
    try:
        said = os.read(master, CHUNK)
    except OSError:
        return False
    _write(screen, said)
    return bool(said)


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


@contextlib.contextmanager
def terminal_kept() -> Iterator[None]:
    """The terminal's modes are afterwards what they were, whatever a program has done to them."""
    keys = sys.stdin.fileno()
    before = termios.tcgetattr(keys)
    try:
        yield
    finally:
        with contextlib.suppress(OSError, termios.error):  # it may be gone
            termios.tcsetattr(keys, termios.TCSADRAIN, before)
            _write(sys.__stdout__.fileno() if sys.__stdout__ else 1, RESET)


def own_editor(environ: Mapping[str, str]) -> list[str]:
    """The words of the user's own editor; none where he named none."""
    named = environ.get("VISUAL") or environ.get("EDITOR") or ""
    try:
        return shlex.split(named)
    except ValueError:
        return []


def edited(text: str, editor: Sequence[str]) -> str:
    """The text as the user's editor left it, by way of a file that only he can read. Raises BoxError."""
    with tempfile.TemporaryDirectory(prefix="weir-") as scratch, terminal_kept():
        file = Path(scratch) / "text"
        file.touch(0o600)
        file.write_text(text, "utf-8")
        try:
            done = subprocess.run([*editor, str(file)], check=False)
            if done.returncode != 0:
                raise BoxError(f"{editor[0]} ended with status {done.returncode}", hint="The text is as it was.")
            return file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BoxError(f"cannot edit with {editor[0]}: {error}", hint="Set EDITOR to another one.") from error
