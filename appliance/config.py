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
    """Ports of the platform; those of the message broker are in `Broker`."""

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


class Acme(Struct, forbid_unknown_fields=True, frozen=True):
    """A certificate by ACME (Let's Encrypt and others). `domains`: the names it is for, which have to lead to port 80
    of this box; empty: none is asked for. `directory`: the address of the authority's directory, or "letsencrypt" or
    "letsencrypt-test". `ca`: a file with the authority that signed the directory's own certificate, where the
    system does not know it. `agree`: the terms of the authority were read."""

    domains: list[str] = field(default_factory=list)
    email: str = ""
    directory: str = "letsencrypt"
    ca: str = ""
    agree: bool = False


class Tls(Struct, forbid_unknown_fields=True, frozen=True):
    """`certificate` and `key`: PEM files of a certificate that is served in place of the box's own; the leaf first."""

    certificate: str = ""
    key: str = ""
    acme: Acme = field(default_factory=Acme)


class Broker(Struct, forbid_unknown_fields=True, frozen=True):
    """The message broker. `port` and `websocket_port` are on loopback; `tls_port` is nginx's, for programs elsewhere
    (0: none). Websockets from elsewhere come in at the platform's own address."""

    enabled: bool = False
    port: int = 1883
    websocket_port: int = 1884
    tls_port: int = 8883
    mosquitto: str = "mosquitto"  # the program


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
    says that something else does. `logs`: on an installed box the console logs of instances lie in memory, and their
    ends are kept at crashes and orderly ends; "disk" keeps all on the disk. From an instance's next start on."""

    command: list[str] = field(default_factory=list)
    firewall: Literal["nft", "own"] = "nft"
    logs: Literal["memory", "disk"] = "memory"


class Webhook(Struct, forbid_unknown_fields=True, frozen=True):
    """Problems are POSTed there as JSON. `secret_file`: holds a secret that the body is signed with; `ca`: a file with
    the authority of the receiver's certificate, where the system does not know it."""

    url: str
    secret_file: str = ""
    ca: str = ""


class Mail(Struct, forbid_unknown_fields=True, frozen=True):
    """Problems are mailed by this SMTP server; no `host`: they are not. `port` 0: the usual one of `security`."""

    host: str = ""
    port: int = 0
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""  # the sender, when empty
    password_file: str = ""
    sender: str = ""
    to: list[str] = field(default_factory=list)
    ca: str = ""


class Mqtt(Struct, forbid_unknown_fields=True, frozen=True):
    """Problems are published there; no `host`: they are not. `port` 0: 8883 with TLS, else 1883."""

    host: str = ""
    port: int = 0
    tls: bool = False
    user: str = ""
    password_file: str = ""
    topic: str = "weir/problems"
    ca: str = ""


class Alerts(Struct, forbid_unknown_fields=True, frozen=True):
    """Who is told of problems. `settle_s`: so long changes are gathered before a message; `every_s`: further ones wait
    so long for the message after it."""

    webhook: list[Webhook] = field(default_factory=list)
    mail: Mail = field(default_factory=Mail)
    mqtt: Mqtt = field(default_factory=Mqtt)
    settle_s: float = 10.0
    every_s: float = 300.0


class Metrics(Struct, forbid_unknown_fields=True, frozen=True):
    """`public`: `/metrics` is also there for those who come through the web server; the token is needed anyway."""

    public: bool = False


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
    tls: Tls = field(default_factory=Tls)
    broker: Broker = field(default_factory=Broker)
    login: Login = field(default_factory=Login)
    limits: Limits = field(default_factory=Limits)
    launcher: LauncherProgram = field(default_factory=LauncherProgram)
    first: First = field(default_factory=First)
    alerts: Alerts = field(default_factory=Alerts)
    metrics: Metrics = field(default_factory=Metrics)
    log_level: str = "info"


INSTALLED = Path("/var/lib/weir")


class Home(Struct, frozen=True):
    """Where everything of one box lives; every path in the appliance comes from here.

    Below `root`, but for the box that `install.sh` made (`root` is `/var/lib/weir`): there sockets, pids and flags are
    in `/run/weir`, which a boot empties, and the configuration is in `/etc/weir`, which only root writes.
    """

    root: Path

    @property
    def installed(self) -> bool:
        """Whether this is the box of the machine's own installation: units and accounts of systemd run its parts."""
        return self.root == INSTALLED

    @property
    def configuration(self) -> Path:
        """The directory of `config.toml` and `config.d/`."""
        return Path("/etc/weir") if self.installed else self.root

    @property
    def config_file(self) -> Path:
        """What a person edits."""
        return self.configuration / "config.toml"

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
        return self.run / "api.sock"

    @property
    def web_socket(self) -> Path:
        """For nginx: the only listener that believes forwarded headers."""
        return self.run / "web.sock"

    @property
    def run(self) -> Path:
        """Sockets, pids and flags: nothing here has to outlive a boot."""
        return Path("/run/weir") if self.installed else self.root / "run"

    @property
    def instances(self) -> Path:
        """Directories of instances: with the `units` placer each belongs to a user of its own, and nobody else looks
        into it."""
        return Path("/var/lib/weir-instances") if self.installed else self.root / "instances"

    @property
    def launch(self) -> Path:
        """What the units of launchers run; all users read it, nothing in it is secret."""
        return self.root / "launch"

    @property
    def boot_socket(self) -> Path:
        """For launchers in units, which ask for their ticket here: the kernel proves who asks."""
        return self.run / "boot.sock"

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
    def nginx_socket(self) -> Path:
        """Where nginx says which configuration it uses. In a directory of nginx's own account when installed, as are
        its log and what it puts aside."""
        return self._nginx_run / "nginx.sock" if self.installed else self.run / "nginx.sock"

    @property
    def nginx_log(self) -> Path:
        return self._nginx_run / "nginx.log" if self.installed else self.logs / "nginx.log"

    @property
    def nginx_scratch(self) -> Path:
        return self._nginx_run / "tmp" if self.installed else self.nginx / "tmp"

    @property
    def nginx_pid(self) -> Path:
        return self._nginx_run / "nginx.pid" if self.installed else self.nginx / "nginx.pid"

    @property
    def mosquitto(self) -> Path:
        """What the message broker is started with; written by the appliance alone."""
        return self.root / "mosquitto"

    @property
    def mosquitto_run(self) -> Path:
        """The broker's control socket and its copy of who may log in; of its own account when installed."""
        return Path("/run/weir-mosquitto") if self.installed else self.run / "mqtt"

    @property
    def _nginx_run(self) -> Path:
        return Path("/run/weir-nginx")

    @property
    def tls(self) -> Path:
        return self.root / "tls"

    @property
    def logs(self) -> Path:
        return self.root / "logs"


def load(root: Path) -> Config:
    """Read the configuration of the box at `root`.

    Raises Invalid with the file, the key and the nearest known key, or with what does not go together.
    """
    where = Home(root).configuration
    try:
        found = msgspec.convert(written(root), Config)
    except msgspec.ValidationError as error:
        raise Invalid(f"configuration in {where}: {error}", hint="Correct the value and start again.") from error
    if found.launcher.command and found.placer == "units":
        # It is given its token in the environment, which a unit that others may read must not hold.
        raise Invalid(
            f"configuration in {where}: launcher.command needs the placer 'child'; instances of this box are units of "
            "systemd, which Weir's own launcher alone can be started in",
            hint="Take launcher.command out. A box that is to run it is started from a checkout: ./dev up.",
        )
    return found


def written(root: Path) -> dict[str, Any]:
    """What the configuration files of the box at `root` say themselves, without defaults. Raises Invalid."""
    where = Home(root).configuration
    files = [where / "config.toml", *sorted((where / "config.d").glob("*.toml"))]
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
    return Path(os.environ.get("WEIR_HOME") or INSTALLED)
