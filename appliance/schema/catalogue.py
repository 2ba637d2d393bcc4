"""Bodies of what administrators make: stacks, templates, instance types; and of applications (platform model §12)."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Struct, UnsetType, field
from msgspec import Meta as MsgMeta

from appliance.schema.common import Body, Links, Meta, Page, Wire
from appliance.schema.instances import InstanceMeta

Order = Annotated[int, MsgMeta(ge=-1_000_000, le=1_000_000)]


class CatalogueQuery(Page, kw_only=True):
    """`filter`: `active` (also when it is left out), `inactive` or `all`."""

    filter: str | None = None


class CreateStack(Body):
    """`replaces` (also spelled `replace`): the stack that this one is the newer of; both are of one instance type."""

    name: str
    label: str = ""
    active: bool = True
    project_type: str | None = None
    properties: dict[str, Any] = {}
    replaces: str | None = None
    replace: str | None = None


class ChangeStack(Body):
    """What is left out stays. Of a stack that instances run on only `label` and `active` can change."""

    name: str | UnsetType = UNSET
    label: str | UnsetType = UNSET
    active: bool | UnsetType = UNSET
    project_type: str | None | UnsetType = UNSET
    properties: dict[str, Any] | UnsetType = UNSET


class CreateTemplate(Body):
    """`settings` and `policy` as the reference nests them; what is left out has its default."""

    name: str
    settings: dict[str, Any]
    policy: dict[str, Any]
    active: bool = True
    description: str = ""


class ChangeTemplate(Body):
    """What is left out stays; `settings` and `policy` are replaced whole. Hidden variables without a value, and
    passwords that are sent back as `true`, keep what they have."""

    name: str | UnsetType = UNSET
    settings: dict[str, Any] | UnsetType = UNSET
    policy: dict[str, Any] | UnsetType = UNSET
    active: bool | UnsetType = UNSET
    description: str | UnsetType = UNSET


class CreateInstanceType(Body):
    name: str
    description: str = ""
    active: bool = True
    properties: dict[str, Any] = {}
    order: Order = 0


class ChangeInstanceType(Body):
    """What is left out stays."""

    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    active: bool | UnsetType = UNSET
    properties: dict[str, Any] | UnsetType = UNSET
    order: Order | UnsetType = UNSET
    default_stack: str | None | UnsetType = UNSET


class ChangeApplication(Body):
    """What is left out stays."""

    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET


class ApplicationsQuery(Struct, kw_only=True):
    """What comes along with each application; at most `associations_limit` of each kind."""

    associations_limit: Annotated[int, MsgMeta(ge=0, le=1000)] | None = field(default=None, name="associationsLimit")
    include_instances: bool = field(default=True, name="includeInstances")
    include_application_devices: bool = field(default=True, name="includeApplicationDevices")
    exclude_owner_filtering: bool = field(default=False, name="excludeOwnerFiltering")


class StatesQuery(Struct, kw_only=True):
    """At most `associations_limit` instances of each application."""

    associations_limit: Annotated[int, MsgMeta(ge=0, le=1000)] | None = field(default=None, name="associationsLimit")


class InstanceSummary(Wire):
    """An instance in an application's list."""

    id: str
    name: str
    safe_name: str
    url: str
    created_at: str
    updated_at: str
    flow_last_updated_at: str | None
    links: Links


class TeamApplication(Wire):
    """An application with what is in it; of devices, groups and pipelines this version has none."""

    id: str
    name: str
    description: str
    created_at: str
    updated_at: str
    links: Links
    instance_count: int
    snapshot_count: int
    device_count: int = 0
    device_group_count: int = 0
    pipeline_count: int = 0
    instances: list[InstanceSummary] | UnsetType = UNSET
    devices: list[Any] | UnsetType = UNSET


class TeamApplications(Wire):
    """`GET /teams/:id/applications`."""

    count: int
    applications: list[TeamApplication]


class SearchQuery(Struct, kw_only=True):
    """`team` is looked through for what has the text `query` in its name."""

    team: str
    query: str = ""


class FoundThing(Wire, omit_defaults=True):
    """What a search found: `object` is `instance` or `application`."""

    object: str
    id: str
    name: str
    links: Links
    description: str | None = None
    url: str | None = None
    application: dict[str, str] | None = None
    meta: InstanceMeta | None = None


class SearchResults(Wire):
    count: int
    results: list[FoundThing]


class LiveInstance(Wire):
    """An instance in a list of states."""

    id: str
    meta: InstanceMeta


class LiveInstances(Wire):
    """`GET /applications/:id/instances/status`."""

    count: int
    instances: list[LiveInstance]


class LiveApplication(Wire):
    id: str
    instances: list[LiveInstance]
    devices: list[Any] = []


class LiveApplications(Wire):
    """`GET /teams/:id/applications/status`."""

    count: int
    applications: list[LiveApplication]


class DashboardInstance(Wire):
    """An instance with a dashboard: where its pages are."""

    id: str
    name: str
    url: str
    application: dict[str, str]
    settings: dict[str, Any]
    meta: InstanceMeta
    links: Links


class DashboardInstances(Wire):
    count: int
    projects: list[DashboardInstance]


class NoDevices(Wire):
    """`GET /applications/:id/devices`: this version has none."""

    meta: Meta
    count: int = 0
    devices: list[Any] = []
