"""A process that runs for somebody who came over SSH with nothing but a key.

All such logins share the account `weir`, which owns nothing. What keeps their people apart is that none of them gets to
run anything or to touch a file as that account: this process starts no program, opens no file of the machine but those
Python and its libraries are made of, speaks to the box's socket alone, and can't be looked into by the others.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tui

# What sshd and PAM may have set, and the screens go by; nothing of it names a program or a file.
KEPT = ("TERM", "COLORTERM", "NO_COLOR", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SSH_CONNECTION", "SSH_ORIGINAL_COMMAND")
LONGEST = 4096
PATH = "/usr/bin:/bin"
PR_SET_DUMPABLE = 4
# Not /proc/self: below it are `root` and `cwd`, by which every file of the machine has a name that begins so.
READABLE = ("/usr/lib", "/usr/share", "/usr/local/lib", "/etc/localtime", "/etc/ssl", "/proc/meminfo")
DEVICES = ("/dev/null", "/dev/tty", "/dev/urandom")
STARTS = frozenset(
    {"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.startfile", "os.system"}
    | {"pty.spawn", "subprocess.Popen", "webbrowser.open"}
)
CHANGES = frozenset(
    {"os.chmod", "os.chown", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.truncate"}
    | {"shutil.rmtree", "shutil.move", "os.listdir", "os.scandir", "os.kill"}
)
NO_FILES = "over SSH no file of the box is read or written; give -, and redirect on your own machine"
NO_PROGRAMS = "over SSH no program is started on the box"


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """What is left of the environment."""
    kept = {name: given[name] for name in KEPT if len(given.get(name, "")) <= LONGEST and name in given}
    return kept | {"PATH": PATH, "HOME": "/", "USER": "weir", "LOGNAME": "weir"}


def confine(box: Path) -> None:
    """From now on, and for good, this process is what the module says; `box` is the one socket it may connect to.

    The wall stands inside Python (PEP 578): it keeps our own code from being led to a file or a program by what a
    person types, it would not hold foreign code. There is none: nothing is loaded that is not of the release.
    """
    # Nobody of the same account reads its memory, which holds the session, or takes its terminal by ptrace(2).
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)
    os.chdir("/")
    left = environment(os.environ)
    os.environ.clear()
    os.environ.update(left)
    own = (sys.prefix, sys.base_prefix, str(Path(tui.__file__).resolve().parents[1]), *READABLE)
    roots = tuple(each.rstrip("/") for each in own)

    def heard(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            _check_open(arguments, roots)
        elif event in STARTS:
            raise PermissionError(errno.EACCES, NO_PROGRAMS)
        elif event in CHANGES and not _within(arguments[0] if arguments else None, roots):
            raise PermissionError(errno.EACCES, NO_FILES)
        elif event == "socket.connect" and arguments[1] != str(box):
            raise PermissionError(errno.EACCES, "over SSH only this box is spoken to")

    sys.addaudithook(heard)


def _check_open(arguments: tuple[Any, ...], roots: tuple[str, ...]) -> None:
    path, _, flags = arguments
    if isinstance(path, int):
        return
    reading = not (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    if os.fsdecode(path) in DEVICES or (reading and _within(path, roots)):
        return
    raise PermissionError(errno.EACCES, NO_FILES)


def _within(path: Any, roots: tuple[str, ...]) -> bool:
    """Whether a path lies in the release or the system's libraries; an open descriptor does."""
    if isinstance(path, int):
        return True
    try:
        whole = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - Path's would look for links, and be heard here
    except TypeError:
        return False
    return any(whole == root or whole.startswith(root + "/") for root in roots)
