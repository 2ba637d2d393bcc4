"""Instances as the API shows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from msgspec.structs import replace

from appliance.model import NO_LIMITS, InstanceSpec, StackRef
from appliance.schema.common import Links
from appliance.schema.instances import Instance, InstanceMeta, Named, StackSummary, TemplateSummary
from appliance.schema.resources import Figures
from appliance.schema.users import ApplicationSummary
from appliance.services import environment, settings, supervision
from appliance.services.addresses import Addresses
from appliance.services.leases import Lost
from appliance.services.limits import effective
from appliance.services.stacks import build_name
from appliance.store.instances import InstanceRow
from appliance.store.limits import LimitsRow
from appliance.store.values import iso

T = TypeVar("T")
Live = Callable[[InstanceRow], tuple[InstanceMeta, Figures | None]]
_NOTHING_LIVE = InstanceMeta(state="")


class Views:
    """Makes and remembers them: of an instance that was not changed, only its live state is put in anew. So a list of
    hundreds costs little more than to encode it."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses
        self._platform = ""
        self._made: dict[str, tuple[InstanceRow, Instance]] = {}

    def all(self, rows: Sequence[InstanceRow], live: Live) -> list[Instance]:
        """The whole instances, in this order; hidden variables and passwords are left out. `live` tells the state and
        the figures of a row."""
        if self._platform != (platform := self._addresses.platform()):
            self._platform = platform  # every address in them begins with it
            self._made.clear()
        parts = Parts(self._addresses)
        return [self._shown(row, parts, *live(row)) for row in rows]

    def forget(self, instance_id: str) -> None:
        """It is no more."""
        self._made.pop(instance_id, None)

    def _shown(self, row: InstanceRow, parts: Parts, meta: InstanceMeta, resources: Figures | None) -> Instance:
        of, still = self._made.get(row.id, (None, None))
        if still is None or of != row:
            still = _still(row, self._addresses, parts)
            self._made[row.id] = row, still
        meta = meta if meta.versions else replace(meta, versions=row.versions)
        return replace(still, meta=meta, resources=resources)


class Parts:
    """What instances of one answer have in common, made once: their team, application, stack and template."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses
        self._made: dict[tuple[object, str], Any] = {}

    def get(self, make: Callable[[InstanceRow, Addresses], T], key: str, row: InstanceRow) -> T:
        """What `make` says of the thing `key` of this row, or said of another row with the same."""
        found: T | None = self._made.get((make, key))
        if found is None:
            found = self._made[make, key] = make(row, self._addresses)
        return found


def _still(row: InstanceRow, addresses: Addresses, parts: Parts) -> Instance:
    """All of an instance but what changes while nobody changes it."""
    editor_url = base(row, addresses) + settings.http_admin_root(row)
    own: dict[str, Any] = {"palette": {"modules": []}, "env": [], **settings.public(row.settings)}
    own["env"] = own["env"] + environment.of_platform(settings.of_platform(row, editor_url))
    return Instance(
        id=row.id,
        name=row.name,
        safe_name=row.safe_name,
        url=editor_url,
        hostname=addresses.host(row.safe_name),
        created_at=iso(row.created_at),
        updated_at=iso(row.updated_at),
        links=_links(addresses, "projects", row.id),
        application=parts.get(_application, row.application_id, row),
        team=parts.get(_team, row.team_id, row),
        project_type=Named(id=row.type_id, name=row.type_name),
        stack=parts.get(_stack, row.stack_id, row),
        template=parts.get(_template, row.template_id, row),
        settings=own,
        launcher_settings=supervision.effective(row.launcher_settings),
        meta=_NOTHING_LIVE,
        desired=row.desired.value,
        ports=dict(zip(("public", "node_red", "launcher"), addresses.ports(row.number), strict=True)),
        flow_last_updated_at=iso(row.flow_updated_at) if row.flow_updated_at else None,
    )


def reduced(shown: Instance) -> Instance:
    """What those are told who may change the variables only."""
    return replace(shown, settings={"env": shown.settings["env"]}, launcher_settings={})


def base(row: InstanceRow, addresses: Addresses) -> str:
    """The instance in a browser, without a slash at the end and without `httpAdminRoot`."""
    return addresses.instance(row.number, row.safe_name)


def spec(
    row: InstanceRow, stack: StackRef | None, addresses: Addresses, held: LimitsRow | None, lost: Lost
) -> InstanceSpec:
    """What a driver needs of the instance. `lost`: leases that another one comes before."""
    return InstanceSpec(
        id=row.id,
        name=row.name,
        team_id=row.team_id,
        desired=row.desired,
        generation=row.generation,
        command_generation=row.command_generation,
        number=row.number,
        node_red_port=addresses.node_red(row.number),
        launcher_port=addresses.launcher(row.number),
        public_port=addresses.public(row.number),
        stack=stack,
        stack_name=stack_of(row),
        memory_mb=settings.memory_mb(row.stack_properties),
        after=tuple(supervision.effective(row.launcher_settings)["startAfter"]),
        limits=effective(held, lost) if held is not None else NO_LIMITS,
    )


def stack_of(row: InstanceRow) -> str:
    """What must be built on the box for the instance."""
    return build_name(row.stack_name, row.stack_properties)


def _application(row: InstanceRow, addresses: Addresses) -> ApplicationSummary:
    return ApplicationSummary(
        id=row.application_id,
        name=row.application_name,
        description=row.application_description,
        links=_links(addresses, "applications", row.application_id),
    )


def _team(row: InstanceRow, addresses: Addresses) -> dict[str, Any]:
    links = {"self": addresses.api(f"teams/{row.team_id}")}
    return {"id": row.team_id, "name": row.team_name, "slug": row.team_slug, "links": links}


def _stack(row: InstanceRow, addresses: Addresses) -> StackSummary:
    return StackSummary(
        id=row.stack_id,
        name=row.stack_name,
        label=row.stack_label,
        properties=row.stack_properties,
        links=_links(addresses, "stacks", row.stack_id),
        replaced_by=row.stack_replaced_by,
    )


def _template(row: InstanceRow, addresses: Addresses) -> TemplateSummary:
    return TemplateSummary(
        id=row.template_id,
        name=row.template_name,
        description=row.template_description,
        settings=settings.public(row.template_settings),
        policy=row.template_policy,
        links=_links(addresses, "templates", row.template_id),
    )


def _links(addresses: Addresses, plural: str, key: str) -> Links:
    return Links(self=addresses.api(f"{plural}/{key}"))
