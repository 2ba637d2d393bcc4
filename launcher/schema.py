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


class Command(Struct, frozen=True):
    """`POST /flowforge/command`. `generation` is the wish that this command carries out; commands with one
    that is already carried out change nothing, so they may be sent again."""

    cmd: str
    generation: int | None = None
    safe: bool = False
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


class BootRequest(Struct, frozen=True):
    """The one-use ticket, traded for credentials."""

    ticket: str
    instance: str
    pid: int


class BootGrant(Struct, frozen=True):
    """Credentials; kept in memory only. `token` is the launcher's, `nodeRedToken` is for Node-RED's plugins."""

    token: str
    nodeRedToken: str
    clientID: str
    clientSecret: str
    credentialSecret: str
    apiSecret: str
    teamID: str


class Weir(Struct, frozen=True):
    """What our appliance adds to the settings document."""

    name: str = ""
    platformPort: int = 443
    publicPort: int = 0
    desired: str = "running"
    commandGeneration: int = 0
    stack: str = ""
    memoryMb: int | None = None
    extraCa: str | None = None


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
