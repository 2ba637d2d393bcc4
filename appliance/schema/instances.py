"""Instances, their stack and template, and what is done to them (platform model §4, instance protocol §5)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta as MsgMeta
from msgspec import Raw, Struct, field

from appliance.schema.common import Body, Links, Meta, Page, Wire
from appliance.schema.resources import Figures
from appliance.schema.users import ApplicationSummary


class InstanceMeta(Wire):
    """Live state. `reason` is a machine word, `message` says in a sentence why and what comes next."""

    state: str
    versions: dict[str, str] = {}
    is_deploying: bool = False
    reason: str = ""
    message: str = ""
    next_try_at: str | None = None  # when the reconciler acts again
    restarts: int = 0  # crashes of Node-RED and sudden ends of its launcher, since the appliance runs
    since: str | None = None
    launcher_pid: int | None = None
    node_red_pid: int | None = None


class Named(Wire):
    id: str
    name: str


class StackSummary(Wire):
    id: str
    name: str
    label: str
    properties: dict[str, Any]
    links: Links
    replaced_by: str | None = None


class TemplateSummary(Wire):
    id: str
    name: str
    links: Links
    settings: dict[str, Any] = {}
    policy: dict[str, Any] = {}
    description: str = ""


class Instance(Wire):
    id: str
    name: str
    safe_name: str
    url: str
    hostname: str
    created_at: str
    updated_at: str
    links: Links
    application: ApplicationSummary
    team: dict[str, Any]
    project_type: Named
    stack: StackSummary
    template: TemplateSummary
    settings: dict[str, Any]
    launcher_settings: dict[str, Any]
    meta: InstanceMeta
    desired: str
    ports: dict[str, int]  # public, node_red, launcher
    flow_last_updated_at: str | None = None
    resources: Figures | None = None  # null while it does not run


class Instances(Wire):
    """`GET /instances`: all that the caller may see."""

    count: int
    instances: list[Instance]


class TeamInstances(Wire):
    """`GET /teams/:id/projects`, the reference's spelling of the list."""

    meta: Meta
    count: int
    projects: list[Instance]


class TeamInstancesQuery(Page, kw_only=True):
    """`sort`: name, createdAt, updatedAt, application.name or flowLastUpdatedAt. `state`: only those that
    are in one of these."""

    state: list[str] = []
    include_meta: bool | None = field(default=None, name="includeMeta")
    order_by_most_recent_flows: bool = field(default=False, name="orderByMostRecentFlows")


class InstanceStatus(Wire):
    id: str
    name: str
    meta: InstanceMeta


class CopyOptions(Body):
    """What is taken from another instance; credentials only together with flows."""

    flows: bool = False
    credentials: bool = False
    env_vars: Literal["all", "keys"] | bool = False
    settings: bool = False
    template: bool = False


class SourceProject(Body):
    """Another instance of the same team. Without options everything is taken."""

    id: str
    options: CopyOptions | None = None


class CreateInstance(Body):
    """The reference's body; everything but the name may be left out, then the defaults of the box are taken."""

    name: str
    application_id: str | None = None
    project_type: str | None = None
    stack: str | None = None
    template: str | None = None
    # An array of nodes, or an exported {flows, credentials}. Not `Raw | None`: msgspec takes only null for that.
    flows: Raw = field(default_factory=lambda: Raw(b"null"))
    source_project: SourceProject | None = None


class ChangeInstance(Body):
    """`PUT /projects/:id`: what is left out stays. `launcher_settings` are laid over those there are, null stands for
    the default: healthCheckInterval (ms), disableAutoSafeMode, crashPolicy (retry, safe, stop), hotSpare.

    So are `settings`; but the list `settings.env` replaces the one there is, where hidden variables without a value
    keep theirs. Members change `settings.env` only: all else is passed over. A host name of its own is refused.
    """

    name: str | None = None
    launcher_settings: dict[str, Any] | None = None
    hostname: str | None = None
    settings: dict[str, Any] | None = None
    project_type: str | None = None  # id or name
    stack: str | None = None  # id or name
    source_project: SourceProject | None = None


class ImportProject(Body):
    """`POST /projects/:id/import`: the files of a Node-RED that stands alone, as text."""

    flows: str | None = None
    credentials: str | None = None
    creds_secret: str | None = None


class ChangedInstance(Instance):
    """The instance as it is now. `note` says when the change takes effect; empty when it has."""

    note: str = ""


class CheckName(Body):
    name: str


class OpenedShell(Body):
    """`account`: as whom on the machine."""

    account: Annotated[str, MsgMeta(min_length=1, max_length=64)]


class Available(Wire):
    available: bool


class UpdateState(Body):
    """What a launcher says of itself; the published launcher sends only `state`."""

    state: str
    seq: int | None = None
    pid: int | None = None
    node_red_pid: int | None = None
    command_generation: int | None = None
    versions: dict[str, str] = {}
    reason: str = ""
    message: str = ""
    at: str | None = None
    holding: bool = False
    next_try_at: str | None = None


class ApplicationInstances(Wire):
    """`GET /applications/:id/instances`."""

    count: int
    instances: list[Instance]


class StoredFlows(Wire):
    """`GET /instances/:name/flows`: what the last acknowledged deploy stored."""

    flows: Raw


class LogPageMeta(Wire, rename=None):
    next_cursor: str | None = None
    previous_cursor: str | None = None
    first_entry: str | None = None
    last_entry: str | None = None


class LogPage(Wire):
    meta: LogPageMeta
    log: list[Any]


class BootRequest(Body):
    """`proof`: a random word of at least 32 characters; with the same one a launcher may ask again."""

    ticket: str
    instance: str
    pid: int
    proof: str = ""


class BootGrant(Wire):
    """What a launcher needs to run, answered once for one ticket. Never logged, never cached."""

    token: str
    node_red_token: str
    client_id: str = field(name="clientID")  # spelled as in the settings document (instance protocol §1.4)
    client_secret: str
    credential_secret: str
    api_secret: str
    spool_key: str  # what the launcher signs reports with that it keeps on the disk
    team_id: str = field(name="teamID")
    broker_url: str = field(name="brokerURL", default="")  # empty, as the two below: this box has no message broker
    broker_username: str = ""
    broker_password: str = ""


class Stack(Wire):
    id: str
    name: str
    label: str
    active: bool
    properties: dict[str, Any]
    created_at: str
    links: Links
    project_type: str | None = None
    replaced_by: str | None = None
    built: bool = False
    instance_count: int = 0


class Stacks(Wire):
    meta: Meta
    count: int
    stacks: list[Stack]


class Template(TemplateSummary):
    active: bool = True
    created_at: str = ""
    instance_count: int = 0


class InstanceType(Named):
    active: bool = True
    description: str = ""
    order: int = 0
    properties: dict[str, Any] = {}
    created_at: str = ""
    default_stack: str | None = None
    instance_count: int = 0
    stack_count: int = 0


class Templates(Wire):
    meta: Meta
    count: int
    templates: list[Template]


class InstanceTypes(Wire):
    meta: Meta
    count: int
    types: list[InstanceType]


class LibraryQuery(Struct, kw_only=True):
    """`name` is a path inside the library; empty or `/` is its root."""

    name: str
