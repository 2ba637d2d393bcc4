"""What a new box is born with in its catalogue: an instance type, stacks, a template."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, insert, update

from appliance.store.engine import Tx
from appliance.store.tables import instance_types, stacks, templates
from appliance.store.values import to_json

_TYPE = insert(instance_types)
_STACK = insert(stacks)
_TEMPLATE = insert(templates)
_DEFAULT_STACK = update(instance_types).where(instance_types.c.id == bindparam("type_id"))


def add_type(tx: Tx, *, type_id: str, name: str, at: int) -> None:
    """A kind of instance."""
    tx.run(_TYPE, id=type_id, name=name, created_at=at)


def add_stack(
    tx: Tx, *, stack_id: str, type_id: str, name: str, label: str, properties: dict[str, str], at: int
) -> None:
    """A stack, which becomes the default one of its instance type."""
    tx.run(
        _STACK,
        id=stack_id,
        name=name,
        label=label,
        instance_type_id=type_id,
        properties=to_json(properties),
        created_at=at,
    )
    tx.run(_DEFAULT_STACK, type_id=type_id, default_stack_id=stack_id)


def add_template(
    tx: Tx, *, template_id: str, name: str, settings: dict[str, Any], policy: dict[str, Any], at: int
) -> None:
    """A template with settings and which of them an instance may change."""
    tx.run(_TEMPLATE, id=template_id, name=name, settings=to_json(settings), policy=to_json(policy), created_at=at)
