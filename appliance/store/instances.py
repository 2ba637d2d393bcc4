"""Instances: what is wanted, and where they belong."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct
from sqlalchemy import Label, Select, Table, bindparam, delete, insert, or_, select, update

from appliance.errors import Conflict
from appliance.model import Desired
from appliance.store.engine import Row, Tx
from appliance.store.tables import (
    applications,
    instance_types,
    instances,
    memberships,
    stacks,
    teams,
    templates,
)
from appliance.store.values import from_json, to_json


class NewInstance(Struct, frozen=True):
    """What is written when an instance is made."""

    id: str
    name: str
    safe_name: str
    application_id: str
    team_id: str
    type_id: str
    stack_id: str
    template_id: str
    desired: Desired
    number: int
    settings: dict[str, Any]
    sealed_credential_secret: str
    at: int


class InstanceRow(Struct, frozen=True):
    """An instance with what it belongs to."""

    seq: int
    id: str
    name: str
    safe_name: str
    desired: Desired
    generation: int
    command_generation: int
    number: int
    settings: dict[str, Any]
    launcher_settings: dict[str, Any]
    versions: dict[str, str]
    flow_updated_at: int | None
    created_at: int
    updated_at: int
    application_id: str
    application_name: str
    application_description: str
    team_id: str
    team_name: str
    team_slug: str
    team_properties: dict[str, Any]
    type_id: str
    type_name: str
    stack_id: str
    stack_name: str
    stack_label: str
    stack_properties: dict[str, Any]
    stack_replaced_by: str | None
    template_id: str
    template_name: str
    template_description: str
    template_settings: dict[str, Any]
    template_policy: dict[str, Any]


class ApplicationRow(Struct, frozen=True):
    """Where a new instance goes."""

    id: str
    name: str
    team_id: str
    team_name: str


# Positions in a row of `_joined`, whose columns are the fields of InstanceRow in their order.
_FIELDS = InstanceRow.__struct_fields__
_OWN_AT = [_FIELDS.index(name) for name in ("settings", "launcher_settings", "versions")]
_SHARED_AT = [
    _FIELDS.index(name) for name in ("team_properties", "stack_properties", "template_settings", "template_policy")
]
_DESIRED_AT = _FIELDS.index("desired")

_i = instances.c


def _joined() -> Select[Any]:
    return (
        select(
            *(_i.seq, _i.id, _i.name, _i.safe_name, _i.desired, _i.generation, _i.command_generation, _i.number),
            *(_i.settings, _i.launcher_settings, _i.versions, _i.flow_updated_at, _i.created_at, _i.updated_at),
            *_labelled(applications, "application", "id", "name", "description"),
            *_labelled(teams, "team", "id", "name", "slug", "properties"),
            *_labelled(instance_types, "type", "id", "name"),
            *_labelled(stacks, "stack", "id", "name", "label", "properties", "replaced_by"),
            *_labelled(templates, "template", "id", "name", "description", "settings", "policy"),
        )
        .join_from(instances, applications, _i.application_id == applications.c.id)
        .join(teams, _i.team_id == teams.c.id)
        .join(instance_types, _i.type_id == instance_types.c.id)
        .join(stacks, _i.stack_id == stacks.c.id)
        .join(templates, _i.template_id == templates.c.id)
    )


def _labelled(table: Table, prefix: str, *names: str) -> list[Label[Any]]:
    return [table.c[name].label(f"{prefix}_{name}") for name in names]


_ALL = _joined().order_by(_i.seq)
_OF_TEAMS = _joined().where(_i.team_id.in_(bindparam("teams", expanding=True))).order_by(_i.seq)
_OF_APPLICATION = _joined().where(_i.application_id == bindparam("application")).order_by(_i.seq)
_ONE = _joined().where(_i.id == bindparam("key"))
_BY_NAME = select(_i.id, _i.team_id).where(or_(_i.id == bindparam("key"), _i.safe_name == bindparam("safe")))
_OWNER = select(_i.name, _i.team_id).where(_i.id == bindparam("key"))
_TEAM_OF = select(_i.team_id).where(_i.id == bindparam("key"))
_NAME_TAKEN = select(_i.id).where(_i.safe_name == bindparam("safe"))
_NUMBERS = select(_i.number)
_SECRET = select(_i.sealed_credential_secret).where(_i.id == bindparam("key"))
_INSERT = insert(instances)
_WISH = (
    update(instances)
    .where(_i.id == bindparam("key"))
    .values(
        desired=bindparam("to"),
        generation=_i.generation + bindparam("newer"),
        command_generation=_i.command_generation + bindparam("wishes"),
        updated_at=bindparam("at"),
    )
)
_VERSIONS = (
    update(instances)
    .where(_i.id == bindparam("key"), _i.versions != bindparam("now"))
    .values(versions=bindparam("now"))
)
_SETTINGS = (
    update(instances).where(_i.id == bindparam("key")).values(settings=bindparam("now"), updated_at=bindparam("at"))
)
_LAUNCHER_SETTINGS = (
    update(instances)
    .where(_i.id == bindparam("key"))
    .values(launcher_settings=bindparam("now"), updated_at=bindparam("at"))
)
_RENAME = (
    update(instances)
    .where(_i.id == bindparam("key"))
    .values(name=bindparam("called"), safe_name=bindparam("safe"), updated_at=bindparam("at"))
)
_TEMPLATE, _STACK, _TYPE = (
    update(instances).where(_i.id == bindparam("key")).values({name: bindparam("of"), "updated_at": bindparam("at")})
    for name in ("template_id", "stack_id", "type_id")
)
_FLOWS_AT = update(instances).where(_i.id == bindparam("key")).values(flow_updated_at=bindparam("at"))
_DELETE = delete(instances).where(_i.id == bindparam("key"))

_APPLICATION = select(
    applications.c.id, applications.c.name, applications.c.team_id, teams.c.name.label("team_name")
).join_from(applications, teams, applications.c.team_id == teams.c.id)
_APPLICATION_NAMED = _APPLICATION.where(applications.c.id == bindparam("key"))
_APPLICATION_FIRST = _APPLICATION.order_by(applications.c.seq).limit(1)
_APPLICATION_OF_TEAMS = (
    _APPLICATION.where(applications.c.team_id.in_(bindparam("teams", expanding=True)))
    .order_by(applications.c.seq)
    .limit(1)
)
_TEAMS_OF_USER = select(memberships.c.team_id).where(
    memberships.c.user_id == bindparam("user"), memberships.c.role >= bindparam("least")
)


def add(tx: Tx, new: NewInstance) -> None:
    """Write a new instance. Raises Conflict when its name or number is taken."""
    tx.run(
        _INSERT,
        id=new.id,
        name=new.name,
        safe_name=new.safe_name,
        application_id=new.application_id,
        team_id=new.team_id,
        type_id=new.type_id,
        stack_id=new.stack_id,
        template_id=new.template_id,
        desired=new.desired.value,
        generation=1,
        command_generation=0,
        number=new.number,
        settings=to_json(new.settings),
        launcher_settings="{}",
        versions="{}",
        sealed_credential_secret=new.sealed_credential_secret,
        created_at=new.at,
        updated_at=new.at,
    )


def get(tx: Tx, instance_id: str) -> InstanceRow | None:
    """The instance, or None."""
    row = tx.one(_ONE, key=instance_id)
    return _instance(row) if row else None


def named(tx: Tx, instance_id: str) -> tuple[str, str] | None:
    """Name and team id of the instance, or None: what most audit entries need of it."""
    row = tx.one(_OWNER, key=instance_id)
    return (row["name"], row["team_id"]) if row else None


def every(tx: Tx) -> list[InstanceRow]:
    """All instances of the box, oldest first."""
    return _instances(tx.all(_ALL))


def of_teams(tx: Tx, team_ids: Iterable[str]) -> list[InstanceRow]:
    """All instances of these teams, oldest first."""
    return _instances(tx.all(_OF_TEAMS, teams=sorted(team_ids)))


def of_application(tx: Tx, application_id: str) -> list[InstanceRow]:
    """All instances of an application, oldest first."""
    return _instances(tx.all(_OF_APPLICATION, application=application_id))


def locate(tx: Tx, name_or_id: str) -> tuple[str, str] | None:
    """Instance id and team id for an id or a name in any case."""
    row = tx.one(_BY_NAME, key=name_or_id, safe=name_or_id.lower())
    return (row["id"], row["team_id"]) if row else None


def team_of(tx: Tx, instance_id: str) -> str | None:
    """The team an instance belongs to."""
    row = tx.one(_TEAM_OF, key=instance_id)
    return row["team_id"] if row else None


def name_taken(tx: Tx, safe_name: str) -> bool:
    """Whether an instance has this name."""
    return tx.one(_NAME_TAKEN, safe=safe_name) is not None


def numbers(tx: Tx) -> set[int]:
    """The numbers of the port table that instances hold."""
    return {row["number"] for row in tx.all(_NUMBERS)}


def sealed_secret(tx: Tx, instance_id: str) -> str | None:
    """The sealed key of the instance's credentials."""
    row = tx.one(_SECRET, key=instance_id)
    return row["sealed_credential_secret"] if row else None


def wish(tx: Tx, instance_id: str, desired: Desired, *, at: int, placed_anew: bool, command: bool) -> None:
    """Write what is wanted. `placed_anew` asks for a new launcher, `command` for something of the one there is."""
    tx.run(_WISH, key=instance_id, to=desired.value, newer=int(placed_anew), wishes=int(command), at=at)


def set_versions(tx: Tx, instance_id: str, versions: dict[str, str]) -> bool:
    """Keep the versions a launcher reported; False when nothing changed."""
    return tx.run(_VERSIONS, key=instance_id, now=to_json(versions)) > 0


def set_settings(tx: Tx, instance_id: str, settings: dict[str, Any], *, at: int) -> None:
    """Replace the instance's own settings."""
    tx.run(_SETTINGS, key=instance_id, now=to_json(settings), at=at)


def set_launcher_settings(tx: Tx, instance_id: str, settings: dict[str, Any], *, at: int) -> None:
    """Replace how the instance is supervised."""
    tx.run(_LAUNCHER_SETTINGS, key=instance_id, now=to_json(settings), at=at)


def set_template(tx: Tx, instance_id: str, template_id: str, *, at: int) -> None:
    """Give the instance another template."""
    tx.run(_TEMPLATE, key=instance_id, of=template_id, at=at)


def set_stack(tx: Tx, instance_id: str, stack_id: str, *, at: int) -> None:
    """Give the instance another stack; its launcher goes on with the old one until it is placed anew."""
    tx.run(_STACK, key=instance_id, of=stack_id, at=at)


def set_type(tx: Tx, instance_id: str, type_id: str, *, at: int) -> None:
    """Make it an instance of another type."""
    tx.run(_TYPE, key=instance_id, of=type_id, at=at)


def rename(tx: Tx, instance_id: str, name: str, safe_name: str, *, at: int) -> None:
    """Give the instance another name. Raises Conflict when it is taken."""
    tx.run(_RENAME, key=instance_id, called=name, safe=safe_name, at=at)


def flows_written(tx: Tx, instance_id: str, *, at: int) -> bool:
    """Remember when flows were deployed; False when there is no such instance."""
    return tx.run(_FLOWS_AT, key=instance_id, at=at) > 0


def remove(tx: Tx, instance_id: str) -> bool:
    """Drop the row and all that hangs on it (storage, library, tokens); False when it is gone already."""
    return tx.run(_DELETE, key=instance_id) > 0


def application(tx: Tx, application_id: str) -> ApplicationRow | None:
    """An application with its team, or None."""
    row = tx.one(_APPLICATION_NAMED, key=application_id)
    return _application(row) if row else None


def first_application(tx: Tx, team_ids: Iterable[str] | None) -> ApplicationRow | None:
    """The oldest application, of these teams when they are given."""
    row = tx.one(_APPLICATION_FIRST) if team_ids is None else tx.one(_APPLICATION_OF_TEAMS, teams=sorted(team_ids))
    return _application(row) if row else None


def teams_of_user(tx: Tx, user_id: str, *, least_role: int) -> set[str]:
    """Teams in which the user has at least this role."""
    return {row["team_id"] for row in tx.all(_TEAMS_OF_USER, user=user_id, least=least_role)}


def clash(error: Conflict) -> str:
    """Which unique column of an instance a Conflict of `add` is about: `safe_name`, `number` or ''."""
    return next((name for name in ("safe_name", "number") if f"instances.{name}" in error.message), "")


def _instances(rows: list[Row]) -> list[InstanceRow]:
    """Many of them have the same team, stack and template: each text is decoded once."""
    decoded: dict[str, Any] = {}

    def decode(text: str) -> Any:
        found = decoded.get(text)
        if found is None:
            found = decoded[text] = from_json(text)
        return found

    return [_instance(row, decode) for row in rows]


def _instance(row: Row, shared: Callable[[str], Any] = from_json) -> InstanceRow:
    values = list(row)  # in the order of the fields
    for at in _OWN_AT:
        values[at] = from_json(values[at])
    for at in _SHARED_AT:
        values[at] = shared(values[at])
    values[_DESIRED_AT] = Desired(values[_DESIRED_AT])
    return InstanceRow(*values)


def _application(row: Row) -> ApplicationRow:
    return ApplicationRow(id=row["id"], name=row["name"], team_id=row["team_id"], team_name=row["team_name"])
