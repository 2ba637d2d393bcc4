"""The program nginx: where it is, and what it says when it does not take a configuration."""

from __future__ import annotations

import re

from appliance.errors import Unavailable
from appliance.system import daemon

_REFUSED_HINT = "If config.toml explains it, correct it there; else report this: such a text should never be made."


class NginxMissing(Unavailable):
    """The program is not installed."""

    code = "nginx_missing"


class ConfigRefused(Unavailable):
    """nginx said no to this configuration; `str()` is its own sentence."""

    code = "proxy_config_refused"


class PortTaken(Unavailable):
    """Somebody else listens on `port`."""

    code = "port_taken"

    def __init__(self, port: int, message: str, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.port = port


def find(name: str) -> str:
    """The program's path. Raises NginxMissing."""
    program = daemon.which(name)
    if program is None:
        raise NginxMissing(
            f"nginx is not installed ('{name}' was not found)",
            hint="Install it: sudo apt-get install --no-install-recommends nginx-light",
        )
    return program


def reason(text: str) -> Unavailable | None:
    """The error behind what nginx wrote, None while it has given no reason or is still trying."""
    failed = re.search(r"bind\(\) to \S+:(\d+) failed \((98|13)", text)
    if failed is not None:
        # It tries a taken port for 2.5 s and does not read signals meanwhile: the reason counts once it gave up.
        gave_up = failed[2] == "13" or "still could not bind()" in text
        return _port_taken(int(failed[1]), denied=failed[2] == "13") if gave_up else None
    return ConfigRefused(sentence(text), hint=_REFUSED_HINT) if "[emerg]" in text else None


def _port_taken(port: int, *, denied: bool) -> PortTaken:
    if denied:
        return PortTaken(
            port,
            f"port {port} may not be opened by this account",
            "Choose ports above 1023 in config.toml (listen.https, listen.http), or run Weir as root.",
        )
    return PortTaken(
        port,
        f"port {port} is in use by another program",
        f"See which: ss -ltnp 'sport = :{port}'. Stop it, or choose another port in config.toml (listen).",
    )


def sentence(output: str) -> str:
    """nginx's reason: its [emerg] line without time stamp and pid, else its last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    reasons = [line.partition("[emerg]")[2] for line in lines if "[emerg]" in line] or lines[-1:]
    return re.sub(r"^\s*(\d+#\d+:)?\s*", "", reasons[0]) if reasons else ""
