"""Where the box answers: its UNIX socket on the same machine, or a URL with a token."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

import tui
from tui.errors import NotRunning, Usage

SYSTEM_SOCKET = Path("/run/weir/api.sock")
SYSTEM_HOME = Path("/var/lib/weir")
HOST = re.compile(r"[\w.:-]+")
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
START_HINT = "Start it with ./dev up (or: systemctl start weir)."
INSTALLED_HINT = "Start it: sudo systemctl start weir. Why it ended: journalctl -u weir; weir doctor."


class Wanted(Struct, frozen=True):
    """What the command line says about the box; empty means not said."""

    home: str = ""
    url: str = ""
    token: str = ""  # only as @FILE: an argument can be read by everyone on the machine
    token_file: str = ""
    ca: str = ""
    box: str = ""  # a known one, by its name


class Address(Struct, frozen=True):
    """A box to talk to. `label` names it in messages; `socket` is None for a remote box."""

    label: str
    base_url: str
    socket: Path | None = None
    token: str = ""
    ca: str = ""

    def not_running(self, why: str = "") -> NotRunning:
        """The error to raise when nobody answers here."""
        cause = f" ({why})" if why else ""
        if self.socket is None:
            return NotRunning(f"Weir does not answer at {self.label}{cause}.", hint="Check the URL and the network.")
        hint = INSTALLED_HINT if self.socket == SYSTEM_SOCKET else START_HINT
        return NotRunning(f"Weir is not running at {self.label}{cause}.", hint=hint)


def checkout_home() -> Path | None:
    """The box directory beside the checkout that this package runs from; None for an installed package."""
    root = Path(tui.__file__).resolve().parents[1]
    return root / ".weir" if (root / "pyproject.toml").exists() else None


def find_home(wanted: Wanted, environ: Mapping[str, str]) -> Path:
    """The box directory meant: named, of the environment, of the system, or of the checkout."""
    named = wanted.home or environ.get("WEIR_HOME", "")
    if named:
        return Path(named).absolute()
    checkout = checkout_home()
    if checkout is None or SYSTEM_SOCKET.exists():
        return SYSTEM_HOME
    return checkout


def find(wanted: Wanted, environ: Mapping[str, str]) -> Address:
    """The box meant by the command line and the environment; whether it runs is not looked at.

    Raises Usage when the options contradict each other or a token cannot be read.
    """
    if wanted.home and wanted.url:
        raise Usage("--home and --url name two different boxes", hint="Give one of them.")
    token = _token(wanted, environ)
    if wanted.url:
        return _remote(wanted, token)
    home = find_home(wanted, environ)
    socket = SYSTEM_SOCKET if home == SYSTEM_HOME else home / "run" / "api.sock"
    return Address(label=str(socket), base_url="http://weir", socket=socket, token=token)


def _remote(wanted: Wanted, token: str) -> Address:
    try:
        parts = urlsplit(wanted.url)
        _ = parts.port  # raises when it is not a number
    except ValueError as error:
        raise Usage(f"--url {wanted.url}: {error}", hint="Example: --url https://plant.example:8443") from error
    if parts.scheme not in ("http", "https") or not HOST.fullmatch(parts.hostname or ""):
        raise Usage(f"--url {wanted.url}: not an address", hint="Example: --url https://plant.example:8443")
    if parts.username or parts.password:
        raise Usage("--url carries a password, which everyone on this machine can read", hint="Use --token-file FILE.")
    if token and parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise Usage(f"--url {wanted.url} would send the token unencrypted", hint="Use https.")
    base = wanted.url.rstrip("/")
    return Address(label=base, base_url=base, token=token, ca=wanted.ca)


def _token(wanted: Wanted, environ: Mapping[str, str]) -> str:
    file = wanted.token_file
    if wanted.token:
        if not wanted.token.startswith("@"):
            raise Usage(
                "--token takes @FILE: an argument can be read by everyone on this machine",
                hint="Use --token-file FILE, or the environment variable WEIR_TOKEN.",
            )
        file = wanted.token[1:]
    if not file:
        return environ.get("WEIR_TOKEN", "").strip()
    try:
        return Path(file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Usage(f"cannot read the token from {file}: {error}", hint="Name a readable file.") from error
