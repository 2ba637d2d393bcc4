"""The box itself: what `weir status` and `weir doctor` show."""

from __future__ import annotations

from msgspec import Struct

from appliance.schema.broker import BrokerSummary
from appliance.schema.common import Body, Wire
from appliance.schema.operations import Maintenance, Room


class Finding(Struct, frozen=True):
    """One thing that `weir doctor` looked at. `next_step` and `key`, that of the problem, are empty when all is well;
    so is `key` where a box that runs could not have the problem."""

    name: str
    ok: bool
    detail: str
    next_step: str = ""
    key: str = ""


class Problem(Wire):
    """A condition for people: what is wrong, what was seen, what to do. `key` is stable."""

    key: str
    title: str
    cause: str
    evidence: str
    next_step: str
    since: str
    about: str | None = None  # instance id


class ApplianceStatus(Wire):
    pid: int
    url: str  # the platform in a browser
    version: str
    started_at: str
    ready: bool
    names: list[str]
    home: str
    ca_url: str = ""
    access: str = "port"  # how instances are reached: "port", "host" or "path" (`ingress.mode`)
    http_port: int = 80  # of the page where trust in the box begins
    sandbox: bool = False  # whether each instance has a user and a sandbox of its own
    ca_fingerprint: str = ""  # SHA-256, `AB:CD:…`; empty while there is no CA


class StatusInstance(Wire, rename=None):
    """Underscores here are the issue's: `launcher_pid`, `node_red_pid`."""

    id: str
    name: str
    state: str
    launcher_pid: int | None
    node_red_pid: int | None
    url: str
    reason: str = ""
    message: str = ""
    cpu_percent: float | None = None  # of one core
    memory_bytes: int | None = None


class HostStatus(Wire):
    cpu_percent: float
    memory_used_bytes: int
    memory_total_bytes: int
    disk_used_bytes: int
    disk_total_bytes: int


class BoxStatus(Wire):
    """`GET /api/v1/box/status`."""

    appliance: ApplianceStatus
    instances: list[StatusInstance]
    host: HostStatus
    problems: list[Problem]
    room: list[Room] = []
    maintenance: Maintenance | None = None
    broker: BrokerSummary | None = None  # null: the message broker is switched off


class HostDisk(Wire):
    """One file system that Weir uses."""

    path: str
    total_bytes: int
    free_bytes: int
    read_only: bool


class HostCertificate(Wire):
    """`what`: `certificate` of the web server, or the `authority` that signed it. `until` is ISO 8601."""

    what: str
    until: str
    days_left: int
    names: list[str] = []


class HostUnit(Wire):
    """A unit of systemd, with its states as `systemctl` says them: `active` such as active, inactive or failed, `sub`
    such as running, waiting or dead."""

    name: str
    active: str
    sub: str


class Machine(Wire):
    """`GET /api/v1/box/machine`. What this machine does not tell is null, or an empty list.

    `load`: of the last 1, 5 and 15 minutes. `throttled`: why the processor is slowed down now; `was_throttled`: since
    the machine was started. `clock_synced`: whether a time service has set the clock. `units`: those of Weir, null
    where systemd does not run it or does not answer.
    """

    system: str
    cpus: int
    load: list[float]
    memory_total_bytes: int
    memory_available_bytes: int
    swap_total_bytes: int
    swap_free_bytes: int
    disks: list[HostDisk]
    certificates: list[HostCertificate]
    uptime_s: float
    throttled: list[str] = []
    was_throttled: list[str] = []
    sensor: str = ""
    temperature_c: float | None = None
    temperature_limit_c: float | None = None
    clock_synced: bool | None = None
    units: list[HostUnit] | None = None


class BoxName(Wire):
    """A name or address under which browsers reach the box: lower case, IPv6 without brackets.

    `port` is the platform's from outside, null where it is the one that nginx listens on.
    """

    name: str
    port: int | None
    source: str  # "box": the machine's own, "config": of config.toml, "added": by this API


class BoxNames(Wire):
    """`GET /api/v1/box/names`: the one to show people first."""

    count: int
    names: list[BoxName]


class AddName(Body):
    name: str  # `plant.example`, `plant.example:8443`, `[2001:db8::7]:8443`


class BoxTasks(Wire):
    """`GET /api/v1/box/tasks`: what the appliance has under way, by name; numbers and ids in names are left out."""

    count: int
    names: dict[str, int]


class Health(Wire):
    """`GET /healthz`: the appliance answers."""

    status: str = "ok"
