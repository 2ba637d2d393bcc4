"""What instances are made from: instance types, stacks, templates."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from sqlalchemy import Table, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.sql.elements import ColumnElement

from appliance.store.engine import Row, Tx
from appliance.store.tables import instance_types, instances, stacks, templates
from appliance.store.values import from_json, to_json


class TypeRow(Struct, frozen=True):
    """An instance type: which stacks and limits an instance may have."""

    id: str
    name: str
    active: bool
    description: str
    position: int
    properties: dict[str, Any]
    default_stack_id: str | None
    created_at: int
    instance_count: int
    stack_count: int


class StackRow(Struct, frozen=True):
    """A stack as the database knows it; whether it is built is a matter of files."""

    id: str
    name: str
    label: str
    active: bool
    instance_type_id: str | None
    properties: dict[str, Any]
    replaced_by: str | None
    created_at: int
    instance_count: int


class TemplateRow(Struct, frozen=True):
    """Settings an instance starts from, and which of them it may change."""

    id: str
    name: str
    description: str
    active: bool
    settings: dict[str, Any]
    policy: dict[str, Any]
    created_at: int
    instance_count: int


def _count(column: ColumnElement[Any], of: ColumnElement[Any], label: str) -> ColumnElement[int]:
    """How many rows of another table name this one."""
    return select(func.count()).where(column == of).scalar_subquery().label(label)


_STACK = select(stacks, _count(instances.c.stack_id, stacks.c.id, "instance_count"))
_STACKS = _STACK.order_by(stacks.c.seq)
_STACK_NAMED = _STACK.where(or_(stacks.c.id == bindparam("key"), stacks.c.name == bindparam("key")))
_STACK_NEWEST = _STACK.where(stacks.c.active == 1).order_by(stacks.c.seq.desc()).limit(1)

_TYPE = select(
    instance_types,
    _count(instances.c.type_id, instance_types.c.id, "instance_count"),
    _count(stacks.c.instance_type_id, instance_types.c.id, "stack_count"),
)
_TYPES = _TYPE.order_by(instance_types.c.position, instance_types.c.seq)
_TYPE_NAMED = _TYPE.where(or_(instance_types.c.id == bindparam("key"), instance_types.c.name == bindparam("key")))

_TEMPLATE = select(templates, _count(instances.c.template_id, templates.c.id, "instance_count"))
_TEMPLATES = _TEMPLATE.order_by(templates.c.seq)
_TEMPLATE_NAMED = _TEMPLATE.where(or_(templates.c.id == bindparam("key"), templates.c.name == bindparam("key")))


_STACK_REPLACED = update(stacks).where(stacks.c.id == bindparam("key")).values(replaced_by=bindparam("by"))
_NO_LONGER = update(stacks).where(stacks.c.replaced_by == bindparam("gone")).values(replaced_by=None)
_NO_DEFAULT = (
    update(instance_types).where(instance_types.c.default_stack_id == bindparam("gone")).values(default_stack_id=None)
)
_INSERT = {table.name: insert(table) for table in (stacks, instance_types, templates)}
_CHANGE = {t.name: update(t).where(t.c.id == bindparam("key")) for t in (stacks, instance_types, templates)}
_DELETE = {t.name: delete(t).where(t.c.id == bindparam("key")) for t in (stacks, instance_types, templates)}


def add(tx: Tx, new: TypeRow | StackRow | TemplateRow) -> None:
    """Write a new one. Raises Conflict when its name is taken."""
    tx.run(_INSERT[_table(new).name], id=new.id, created_at=new.created_at, **_columns(new))


def change(tx: Tx, row: TypeRow | StackRow | TemplateRow) -> None:
    """Write all that may change. Raises Conflict when the name is taken."""
    tx.run(_CHANGE[_table(row).name], key=row.id, **_columns(row))


def remove(tx: Tx, row: TypeRow | StackRow | TemplateRow) -> None:
    """Drop it. Raises Conflict while instances are made of it."""
    if isinstance(row, StackRow):
        tx.run(_NO_LONGER, gone=row.id)
        tx.run(_NO_DEFAULT, gone=row.id)
    tx.run(_DELETE[_table(row).name], key=row.id)


def replaced(tx: Tx, stack_id: str, by: str) -> None:
    """Remember which stack is the newer one."""
    tx.run(_STACK_REPLACED, key=stack_id, by=by)


def _table(row: TypeRow | StackRow | TemplateRow) -> Table:
    return stacks if isinstance(row, StackRow) else instance_types if isinstance(row, TypeRow) else templates


def _columns(row: TypeRow | StackRow | TemplateRow) -> dict[str, Any]:
    shared = {"name": row.name, "active": int(row.active)}
    if isinstance(row, StackRow):
        of_stack = {"label": row.label, "instance_type_id": row.instance_type_id}
        return {**shared, **of_stack, "properties": to_json(row.properties)}
    if isinstance(row, TypeRow):
        of_type = {"position": row.position, "default_stack_id": row.default_stack_id}
        return {**shared, **of_type, "description": row.description, "properties": to_json(row.properties)}
    return {
        **shared,
        "description": row.description,
        "settings": to_json(row.settings),
        "policy": to_json(row.policy),
    }


def all_stacks(tx: Tx) -> list[StackRow]:
    """All stacks, oldest first."""
    return [_stack(row) for row in tx.all(_STACKS)]


def stack(tx: Tx, key: str) -> StackRow | None:
    """By id or by name."""
    row = tx.one(_STACK_NAMED, key=key)
    return _stack(row) if row else None


def newest_stack(tx: Tx) -> StackRow | None:
    """The active stack that was added last."""
    row = tx.one(_STACK_NEWEST)
    return _stack(row) if row else None


def types(tx: Tx) -> list[TypeRow]:
    """All instance types in the order people should see them."""
    return [_type(row) for row in tx.all(_TYPES)]


def instance_type(tx: Tx, key: str) -> TypeRow | None:
    """By id or by name."""
    row = tx.one(_TYPE_NAMED, key=key)
    return _type(row) if row else None


def all_templates(tx: Tx) -> list[TemplateRow]:
    """All templates, oldest first."""
    return [_template(row) for row in tx.all(_TEMPLATES)]


def template(tx: Tx, key: str) -> TemplateRow | None:
    """By id or by name."""
    row = tx.one(_TEMPLATE_NAMED, key=key)
    return _template(row) if row else None


def _stack(row: Row) -> StackRow:
    return StackRow(
        id=row["id"],
        name=row["name"],
        label=row["label"],
        active=bool(row["active"]),
        instance_type_id=row["instance_type_id"],
        properties=from_json(row["properties"]),
        replaced_by=row["replaced_by"],
        created_at=row["created_at"],
        instance_count=row["instance_count"],
    )


def _type(row: Row) -> TypeRow:
    return TypeRow(
        id=row["id"],
        name=row["name"],
        active=bool(row["active"]),
        description=row["description"],
        position=row["position"],
        properties=from_json(row["properties"]),
        default_stack_id=row["default_stack_id"],
        created_at=row["created_at"],
        instance_count=row["instance_count"],
        stack_count=row["stack_count"],
    )


def _template(row: Row) -> TemplateRow:
    return TemplateRow(
        id=row["id"],
        name=row["name"],
        description=row["description"],
        active=bool(row["active"]),
        settings=from_json(row["settings"]),
        policy=from_json(row["policy"]),
        created_at=row["created_at"],
        instance_count=row["instance_count"],
    )
