"""Configuration: `config.toml`, then `config.d/*.toml` in name order, all optional.

Nothing has to be written for the default install. An unknown key is an error that names the nearest key.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from appliance.errors import Invalid


class Listen(Struct, forbid_unknown_fields=True, frozen=True):
    """Ports of the platform. `file` and the broker's ports are reserved for their parts."""

    host: str = "127.0.0.1"
    port: int = 3000  # the appliance, loopback
    https: int = 443  # nginx: platform
    http: int = 80  # nginx: page with the box's CA
    public_base: int = 10000  # nginx: instance n
    node_red_base: int = 12080  # loopback: Node-RED n
    launcher_base: int = 13080  # loopback: launcher n


class Ingress(Struct, forbid_unknown_fields=True, frozen=True):
    """How browsers reach the box. `names` and `domain` may carry an external port: `plant.example:8443`.

    `mode`: each instance at a port of its own, at `<instance>.<domain>`, or at `<box>/i/<instance>/`. The last one
    makes one origin of everything, so it has to be said that this is wanted (`system.access`).
    """

    names: list[str] = field(default_factory=list)
    mode: str = "port"  # "port", "host" or "path"
    domain: str = ""
    path_is_one_trust_domain: bool = False
    nginx: str = "nginx"  # the program


class Login(Struct, forbid_unknown_fields=True, frozen=True):
    """`admin_password_file`: holds the first administrator's password; without it one is made and printed once."""

    admin_password_file: str = ""
    session_s: int = 7 * 86400
    idle_s: int = 32 * 3600
    attempts: int = 5  # failed logins per `window_s`, counted per name and per address
    window_s: int = 30


class Limits(Struct, forbid_unknown_fields=True, frozen=True):
    """`json_bytes`: largest JSON body of a plugin route (instance protocol §3: 10 MB)."""

    json_bytes: int = 10 * 1024 * 1024
    start_timeout_s: int = 180
    stop_grace_s: int = 15


class LauncherProgram(Struct, forbid_unknown_fields=True, frozen=True):
    """`command`: another launcher than Weir's own, which speaks the published protocol; `node` in front is the Node.js
    of the instance's stack. Empty: Weir's own. `firewall`: "nft" has Weir keep such launchers off the network, "own"
    says that something else does."""

    command: list[str] = field(default_factory=list)
    firewall: Literal["nft", "own"] = "nft"


class First(Struct, forbid_unknown_fields=True, frozen=True):
    """What a box is born with. An empty `instance` makes none."""

    team: str = "Home"
    application: str = "First application"
    instance: str = "first"


class Config(Struct, forbid_unknown_fields=True, frozen=True):
    """The whole configuration with its defaults."""

    driver: str = "localfs"
    placer: str = "child"
    listen: Listen = field(default_factory=Listen)
    ingress: Ingress = field(default_factory=Ingress)
    login: Login = field(default_factory=Login)
    limits: Limits = field(default_factory=Limits)
    launcher: LauncherProgram = field(default_factory=LauncherProgram)
    first: First = field(default_factory=First)
    log_level: str = "info"


class Home(Struct, frozen=True):
    """Where everything of one box lives; every path in the appliance comes from here."""

    root: Path

    @property
    def database(self) -> Path:
        return self.root / "state" / "weir.db"

    @property
    def state(self) -> Path:
        """Secrets of the box and small state files; 0700."""
        return self.root / "state"

    @property
    def api_socket(self) -> Path:
        """For the terminal: the caller is known by his UNIX account."""
        return self.root / "run" / "api.sock"

    @property
    def web_socket(self) -> Path:
        """For nginx: the only listener that believes forwarded headers."""
        return self.root / "run" / "web.sock"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def instances(self) -> Path:
        return self.root / "instances"

    @property
    def runtimes(self) -> Path:
        return self.root / "runtimes"

    @property
    def stacks(self) -> Path:
        return self.root / "stacks"

    @property
    def launchers(self) -> Path:
        """Published launchers that were installed."""
        return self.root / "launchers"

    @property
    def nginx(self) -> Path:
        return self.root / "nginx"

    @property
    def tls(self) -> Path:
        return self.root / "tls"

    @property
    def logs(self) -> Path:
        return self.root / "logs"


def load(root: Path) -> Config:
    """Read the configuration of the box at `root`.

    Raises Invalid with the file, the key and the nearest known key.
    """
    try:
        return msgspec.convert(written(root), Config)
    except msgspec.ValidationError as error:
        raise Invalid(f"configuration in {root}: {error}", hint="Correct the value and start again.") from error


def written(root: Path) -> dict[str, Any]:
    """What the configuration files of the box at `root` say themselves, without defaults. Raises Invalid."""
    files = [root / "config.toml", *sorted((root / "config.d").glob("*.toml"))]
    merged: dict[str, Any] = {}
    for file in files:
        if file.exists():
            document = _read(file)
            _check_keys(document, Config, file, "")
            _merge(merged, document)
    return merged


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Invalid(f"{file}: {error}", hint="Correct the file and start again.") from error


def _check_keys(document: dict[str, Any], struct: type[Struct], file: Path, prefix: str) -> None:
    fields = {f.encode_name: f.type for f in msgspec.structs.fields(struct)}
    for key, value in document.items():
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1)
            meant = f"did you mean '{prefix}{near[0]}'?" if near else f"known keys: {', '.join(sorted(fields))}"
            raise Invalid(f"{file}: unknown key '{prefix}{key}'; {meant}", hint="Correct or remove the key.")
        kind = fields[key]
        if isinstance(value, dict) and isinstance(kind, type) and issubclass(kind, Struct):
            _check_keys(value, kind, file, f"{prefix}{key}.")


def _merge(into: dict[str, Any], other: dict[str, Any]) -> None:
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def default_home() -> Path:
    """`$WEIR_HOME`, else `/var/lib/weir`."""
    return Path(os.environ.get("WEIR_HOME") or "/var/lib/weir")
