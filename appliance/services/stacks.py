"""What instances can be made of: stacks (and whether they are built on this box), templates, instance types."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from appliance.errors import Invalid, NotFound
from appliance.model import StackRef
from appliance.schema.common import Links, Page
from appliance.schema.instances import InstanceType, InstanceTypes, Stack, Template, Templates
from appliance.schema.instances import Stacks as StackList
from appliance.services.context import Context
from appliance.services.paging import page_of
from appliance.services.settings import public
from appliance.store import catalogue
from appliance.store.values import iso

R = TypeVar("R", catalogue.StackRow, catalogue.TypeRow)
Find = Callable[[str], StackRef | None]
# What lists of the catalogue can be sorted by.
_SORTS: dict[str, Callable[[Any], Any]] = {
    "name": lambda row: row.name.lower(),
    "createdAt": lambda row: row.created_at,
    "active": lambda row: row.active,
}


class Stacks:
    """Reads the catalogue. `find` looks for a built stack by its name."""

    def __init__(self, context: Context, *, find: Find) -> None:
        self._context = context
        self._store = context.store
        self._find = find

    def resolve(self, name: str) -> StackRef | None:
        """Where the stack `name` is on this box; None when it is not built. Looks at files."""
        return self._find(name)

    async def resolve_all(self, names: builtins.set[str]) -> dict[str, StackRef | None]:
        """`resolve` for many names, off the event loop."""
        return await asyncio.to_thread(lambda: {name: self._find(name) for name in names})

    async def built(self, row: catalogue.StackRow) -> bool:
        """Whether instances can be started on it."""
        name = build_name(row.name, row.properties)
        return (await self.resolve_all({name}))[name] is not None

    async def list(self, page: Page | None = None, *, shown: str | None = "all") -> StackList:
        """Stacks of the box, oldest first: those that are `active`, `inactive`, or `all`. Raises Invalid."""
        rows = _filtered(await self._store.read(catalogue.all_stacks), shown)
        built = await self.resolve_all({build_name(row.name, row.properties) for row in rows})
        meta, found = page_of(
            rows, page, id_of=lambda row: row.id, text_of=lambda row: f"{row.name} {row.label}", sorts=_SORTS
        )
        stacks = [self._stack(row, built=built[build_name(row.name, row.properties)] is not None) for row in found]
        return StackList(meta=meta, count=len(stacks), stacks=stacks)

    async def get(self, key: str) -> Stack:
        """One stack by id or name. Raises NotFound."""
        row = await self._store.read(lambda tx: catalogue.stack(tx, key))
        if row is None:
            raise NotFound(f"There is no stack '{key}'.", hint="See: weir stack list")
        return self._stack(row, built=await self.built(row))

    async def templates(self, page: Page | None = None) -> Templates:
        """Templates of the box, oldest first."""
        rows = await self._store.read(catalogue.all_templates)
        meta, found = page_of(rows, page, id_of=lambda row: row.id, text_of=lambda row: row.name, sorts=_SORTS)
        return Templates(meta=meta, count=len(found), templates=[self._template(row) for row in found])

    async def template(self, key: str) -> Template:
        """One template by id or name. Raises NotFound."""
        row = await self._store.read(lambda tx: catalogue.template(tx, key))
        if row is None:
            raise NotFound(f"There is no template '{key}'.")
        return self._template(row)

    async def types(self, page: Page | None = None, *, shown: str | None = "all") -> InstanceTypes:
        """Instance types of the box in their order: those that are `active`, `inactive`, or `all`. Raises Invalid."""
        rows = _filtered(await self._store.read(catalogue.types), shown)
        sorts = {**_SORTS, "order": lambda row: row.position}
        meta, found = page_of(rows, page, id_of=lambda row: row.id, text_of=lambda row: row.name, sorts=sorts)
        return InstanceTypes(meta=meta, count=len(found), types=[_type(row) for row in found])

    async def type(self, key: str) -> InstanceType:
        """One instance type by id or name. Raises NotFound."""
        row = await self._store.read(lambda tx: catalogue.instance_type(tx, key))
        if row is None:
            raise NotFound(f"There is no instance type '{key}'.")
        return _type(row)

    def _stack(self, row: catalogue.StackRow, *, built: bool) -> Stack:
        return Stack(
            id=row.id,
            name=row.name,
            label=row.label,
            active=row.active,
            properties=row.properties,
            created_at=iso(row.created_at),
            links=self._links("stacks", row.id),
            project_type=row.instance_type_id,
            replaced_by=row.replaced_by,
            built=built,
            instance_count=row.instance_count,
        )

    def _template(self, row: catalogue.TemplateRow) -> Template:
        return Template(
            id=row.id,
            name=row.name,
            description=row.description,
            active=row.active,
            settings=public(row.settings),
            policy=row.policy,
            created_at=iso(row.created_at),
            instance_count=row.instance_count,
            links=self._links("templates", row.id),
        )

    def _links(self, plural: str, key: str) -> Links:
        return Links(self=f"{self._context.base_url()}/api/v1/{plural}/{key}")


def build_name(name: str, properties: Mapping[str, Any]) -> str:
    """What is built on the box for a stack of this name: several may share it, with other limits."""
    shared = properties.get("build")
    return shared if isinstance(shared, str) and shared else name


def _filtered(rows: Sequence[R], shown: str | None) -> Sequence[R]:
    shown = shown or "active"
    if shown not in ("active", "inactive", "all"):
        raise Invalid(f"There is no filter '{shown[:40]}'.", hint="Use one of: active, inactive, all.")
    return [row for row in rows if shown == "all" or row.active is (shown == "active")]


def _type(row: catalogue.TypeRow) -> InstanceType:
    return InstanceType(
        id=row.id,
        name=row.name,
        active=row.active,
        description=row.description,
        order=row.position,
        properties=row.properties,
        created_at=iso(row.created_at),
        default_stack=row.default_stack_id,
        instance_count=row.instance_count,
        stack_count=row.stack_count,
    )
