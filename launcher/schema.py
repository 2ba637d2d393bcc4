"""The launcher's wire: what it answers and what it asks. The appliance imports this module and no other."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec import Struct, field


class State(StrEnum):
    """States a launcher reports (instance protocol §5)."""

    STOPPED = "stopped"
    LOADING = "loading"
    INSTALLING = "installing"
    STARTING = "starting"
    RUNNING = "running"
    SAFE = "safe"
    CRASHED = "crashed"


class Info(Struct, frozen=True):
    """`GET /flowforge/info`. `lastStartTime` in ms or -1; `listening`: Node-RED answers on its port."""

    id: str
    state: State
    lastStartTime: int
    versions: dict[str, str]
    pid: int
    nodeRedPid: int | None
    seq: int
    commandGeneration: int
    generation: int
    reason: str
    message: str
    listening: bool
    holding: bool = False  # the port is held for a Node-RED that takes it over shortly: clients wait
    nextTryAt: str | None = None  # ISO 8601 UTC: when a crashed one is started again; None: not by itself


class Command(Struct, frozen=True):
    """`POST /flowforge/command`. `generation` is the wish that this command carries out; commands with one
    that is already carried out change nothing, so they may be sent again."""

    cmd: str
    generation: int | None = None
    safe: bool = False  # start and restart: with the flows stopped
    now: bool = False  # restart: what runs is killed, not asked to end
    token: str = ""  # logout: the Node-RED access token to revoke


class StateReport(Struct, frozen=True):
    """Body of `update-state`. `at` is ISO 8601 UTC; `seq` grows while the launcher lives."""

    state: State
    seq: int
    pid: int
    nodeRedPid: int | None
    commandGeneration: int
    versions: dict[str, str]
    reason: str
    message: str
    at: str
    holding: bool = False
    nextTryAt: str | None = None


class BootRequest(Struct, frozen=True):
    """The one-use ticket, traded for credentials; again only with the same `proof`, a random word."""

    ticket: str
    instance: str
    pid: int
    proof: str = ""


class BootGrant(Struct, frozen=True):
    """Credentials; kept in memory only. `token` is the launcher's, `nodeRedToken` is for Node-RED's plugins."""

    token: str
    nodeRedToken: str
    clientID: str
    clientSecret: str
    credentialSecret: str
    apiSecret: str
    teamID: str
    spoolKey: str = ""  # what reports are marked with that wait on the disk
    brokerURL: str = ""  # empty, as the two below: the box has no message broker
    brokerUsername: str = ""
    brokerPassword: str = ""


class Weir(Struct, frozen=True):
    """What our appliance adds to the settings document."""

    name: str = ""
    platformPort: int = 443
    publicPort: int = 0
    path: str = ""  # what every path of the instance begins with: access mode `path`; settings.httpAdminRoot has it too
    desired: str = "running"
    commandGeneration: int = 0
    stack: str = ""
    memoryMb: int | None = None
    extraCa: str | None = None
    crashPolicy: str = "safe"  # after a crash loop: retry for ever, safe mode, or stop
    hotSpare: bool = False
    files: str = ""  # a word for files of a restored instance that wait at the appliance; empty: none do
    installTimeout: float = 900.0  # seconds that an install of modules may take


class Settings(Struct, frozen=True):
    """The settings document (instance protocol §1.4), the fields that a launcher uses.

    `settings` stays untyped: each value is checked where it is used, so that one bad value of a template
    can't keep an instance from starting.
    """

    projectID: str = ""
    env: dict[str, Any] = field(default_factory=dict)
    baseURL: str = ""
    forgeURL: str = ""
    teamID: str = ""
    storageURL: str = ""
    auditURL: str = ""
    state: str = "running"
    stack: dict[str, Any] = field(default_factory=dict)
    healthCheckInterval: float | None = None
    disableAutoSafeMode: bool | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    features: dict[str, Any] = field(default_factory=dict)
    weir: Weir = field(default_factory=Weir)


class LogPageMeta(Struct, frozen=True, omit_defaults=True):
    first_entry: str | None = None
    next_cursor: str | None = None
    previous_cursor: str | None = None


class Sample(Struct, frozen=True, omit_defaults=True):
    """What an instance takes at one moment (instance protocol §1.11); what is not known is left out.

    `ts` ms since 1970; `ps` resident MB; `cpu` percent of one core since the sample before; `ela`, `el99` lag of the
    event loop in s, mean and 99th percentile; counters since Node-RED's start: messages sent, handed to a node, sent
    on a wire; ours: MB of V8's heap, used and its limit. From `ela` on Node-RED itself says so, which a flow can fake.
    """

    src: str
    ts: int
    ps: float | None = None
    cpu: float | None = None
    ela: float | None = None
    el99: float | None = None
    nrmsgs: int | None = None
    nrrecv: int | None = None
    nrsend: int | None = None
    heap: float | None = None
    heapLimit: float | None = None


class Alert(Struct, frozen=True):
    """Something that was too much on average of five minutes: `cpu`, `memory` and `heap` in percent of the limit,
    `lag` in seconds. `since` ms since 1970."""

    kind: str
    average: float
    threshold: float
    since: int


class ResourceReport(Struct, frozen=True):
    """Body of `POST /projects/ID/resources`. `peakMb`: most memory of this run; limits are those that are enforced,
    `cpuLimit` in percent of one core; `writtenBytes`: to disks, since the launcher lives."""

    sample: Sample
    peakMb: float
    cpuLimit: float | None = None
    memoryLimitMb: float | None = None
    alerts: list[Alert] = field(default_factory=list)
    writtenBytes: int | None = None
