"""The words of the platform: what is wanted, what is seen, who asks. Pure: stdlib and msgspec only."""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any

from msgspec import Struct


class Desired(StrEnum):
    """What is wanted of an instance; the only state that is stored (instance protocol §5)."""

    RUNNING = "running"
    STOPPED = "stopped"  # the launcher is up, Node-RED is not
    SUSPENDED = "suspended"  # no launcher at all
    DELETING = "deleting"


class Role(IntEnum):
    """Team roles and the platform flag (platform model §3)."""

    NONE = 0
    DASHBOARD = 5
    VIEWER = 10
    MEMBER = 30
    OWNER = 50
    ADMIN = 99


class Manner(Struct, frozen=True):
    """How a restart is carried out. `safe`: the flows stay stopped; `now`: Node-RED is killed, not asked to end."""

    safe: bool = False
    now: bool = False


class Phase(StrEnum):
    """What a driver sees of a launcher."""

    ABSENT = "absent"
    CREATING = "creating"
    UP = "up"
    STOPPING = "stopping"
    EXITED = "exited"
    UNKNOWN = "unknown"  # `reason` says why it can't be known


class InstanceRef(Struct, frozen=True):
    """Names an instance to a driver."""

    id: str


class StackRef(Struct, frozen=True):
    """A built stack on this box: absolute paths."""

    name: str
    node: str  # the Node.js binary
    node_red: str  # directory that holds node_modules/node-red
    compile_cache: str = ""  # V8's compile cache, read-only; empty when the stack has none


class Limits(Struct, frozen=True):
    """What an instance may take of the box; None: the default of the box. `networks`: the only addresses it may speak
    with beside the box itself, empty for all; `ports`: the only ones it may open beside its own (see
    `system.port_rules`), empty for all that nobody else has; `devices`: device nodes that are leased to it alone;
    `lost`: why it does not get others that were leased to it, for people."""

    memory_mb: int | None = None
    cpu_percent: int | None = None  # of one core
    tasks: int | None = None
    disk_mb: int | None = None
    networks: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


NO_LIMITS = Limits()


class InstanceSpec(Struct, frozen=True):
    """What a driver needs to place the launcher of one instance.

    `generation` grows with every change that needs a new launcher; `command_generation` with every
    wish that a living launcher carries out (start, stop, restart).
    """

    id: str
    name: str
    team_id: str
    desired: Desired
    generation: int
    command_generation: int
    number: int  # n of the port table: Node-RED 12080+n, launcher 13080+n, public 10000+n by default
    node_red_port: int
    launcher_port: int
    public_port: int
    stack: StackRef | None  # None: the stack is not built on this box
    stack_name: str
    memory_mb: int | None = None  # of Node-RED's heap
    limits: Limits = NO_LIMITS
    paused: str = ""  # why it is suspended although it is wanted: the box is in maintenance
    after: tuple[str, ...] = ()  # at boot these instances (ids), or the "broker", come up first

    @property
    def ref(self) -> InstanceRef:
        return InstanceRef(self.id)


class RunGrant(Struct, frozen=True):
    """What a launcher that can't trade a ticket is given at its start, in its environment. Never logged."""

    token: str
    client_id: str
    client_secret: str
    credential_secret: str
    team_id: str
    broker_url: str = ""  # empty, as the two below: this box has no message broker
    broker_username: str = ""
    broker_password: str = ""


class Placement(Struct, frozen=True):
    """Answer of `Driver.ensure`. `handle` is opaque JSON without secrets."""

    id: str
    generation: int
    handle: dict[str, Any]
    pid: int | None = None


class Observation(Struct, frozen=True):
    """What a driver sees now. `generation` is the one the launcher was placed with."""

    id: str
    phase: Phase
    reason: str = ""  # machine word
    message: str = ""  # for people
    generation: int = 0
    handle: dict[str, Any] | None = None
    pid: int | None = None
    since: datetime | None = None
    exit_code: int | None = None


class LauncherState(StrEnum):
    """States a launcher reports (instance protocol §5, layer 3)."""

    STOPPED = "stopped"
    LOADING = "loading"
    INSTALLING = "installing"
    STARTING = "starting"
    RUNNING = "running"
    SAFE = "safe"
    CRASHED = "crashed"


class LauncherReport(Struct, frozen=True):
    """The last thing a launcher said of itself: pushed by update-state or read from its info route."""

    state: LauncherState
    seq: int
    pid: int
    node_red_pid: int | None
    command_generation: int  # the wish it has carried out
    versions: dict[str, str]
    reason: str
    message: str
    at: datetime
    # The launcher holds the listening socket and a Node-RED takes it over shortly: clients wait meanwhile.
    holding: bool = False
    # When it starts a crashed Node-RED again; None: it does not, or there is nothing to start.
    next_try_at: datetime | None = None
    # The published launcher: it says its state (and versions) and no more, neither what it has carried out nor who
    # its Node-RED is.
    plain: bool = False


class Subject(Struct, frozen=True):
    """Who asks. Made only by `appliance.auth`; everything that decides on rights takes one."""

    kind: str  # "user" | "launcher" | "node_red" | "published" | "system"
    user_id: str | None = None
    username: str = ""
    admin: bool = False
    instance_id: str | None = None  # tokens of launchers, of Node-RED and of its editor
    team_id: str | None = None
    team_ids: frozenset[str] | None = None  # a personal token narrowed to these teams
    read_only: bool = False
    scopes: frozenset[str] | None = None  # None: all that the role allows
    source: str | None = None  # "api" when a personal access token was used
    token_id: str | None = None


SYSTEM = Subject(kind="system", username="weir", admin=True)
