"""Instance types: made, changed, removed."""

from __future__ import annotations

import msgspec

from appliance.errors import Invalid, NotFound
from appliance.model import Subject
from appliance.schema.catalogue import ChangeInstanceType, CreateInstanceType
from appliance.services.context import Context, Recorder
from appliance.services.maker import Maker, check_description, check_properties, given, in_use
from appliance.services.people import updates
from appliance.store import catalogue
from appliance.store.catalogue import TypeRow
from appliance.store.engine import Tx
from appliance.store.ids import new_id


class InstanceTypes:
    """The kinds of instances of this box; administrators make them. Answers ids: reading is `Stacks`' part."""

    def __init__(self, context: Context, audit: Recorder) -> None:
        self._make = Maker(context, audit, what="an instance type", kind="project-type", body="projectType")

    async def create(self, subject: Subject, body: CreateInstanceType) -> str:
        """Raises Invalid for a bad or taken name."""
        new = TypeRow(
            id=new_id(),
            name=self._make.name(body.name),
            active=body.active,
            description=body.description,
            position=body.order,
            properties=body.properties,
            default_stack_id=None,
            created_at=self._make.context.now_ms(),
            instance_count=0,
            stack_count=0,
        )
        _check(new)

        def work(tx: Tx) -> None:
            catalogue.add(tx, new)
            self._make.record(tx, "created", subject, new, {})

        await self._make.write(work, new.name)
        return new.id

    async def change(self, subject: Subject, type_id: str, body: ChangeInstanceType) -> str:
        """What is left out stays. Raises NotFound, Invalid."""
        wanted = given(body)
        if "order" in wanted:
            wanted["position"] = wanted.pop("order")
        if "name" in wanted:
            wanted["name"] = self._make.name(wanted["name"])
        stack = wanted.pop("default_stack", msgspec.UNSET)

        def work(tx: Tx) -> None:
            row = _get(tx, type_id)
            after = msgspec.structs.replace(row, **wanted)
            if stack is not msgspec.UNSET:
                after = msgspec.structs.replace(after, default_stack_id=_default_stack(tx, row, stack))
            _check(after)
            catalogue.change(tx, after)
            if changed := updates(msgspec.structs.asdict(row), msgspec.structs.asdict(after)):
                self._make.record(tx, "updated", subject, after, {"updates": changed})

        await self._make.write(work, str(wanted.get("name", "")))
        return type_id

    async def remove(self, subject: Subject, type_id: str) -> None:
        """Raises NotFound, Invalid `unexpected_error` while instances are of it."""

        def work(tx: Tx) -> None:
            row = _get(tx, type_id)
            if row.instance_count:
                raise in_use("type", row.name, row.instance_count)
            catalogue.remove(tx, row)
            self._make.record(tx, "deleted", subject, row, {})

        await self._make.context.store.write(work)


def _get(tx: Tx, type_id: str) -> TypeRow:
    row = catalogue.instance_type(tx, type_id)
    if row is None or row.id != type_id:
        raise NotFound("There is no such instance type.")
    return row


def _default_stack(tx: Tx, row: TypeRow, wanted: str | None) -> str | None:
    if not wanted:
        return None
    stack = catalogue.stack(tx, wanted)
    if stack is None or stack.instance_type_id not in (None, row.id):
        raise Invalid(f"There is no stack '{wanted[:80]}' for instances of this type.", hint="See: weir stack list")
    return stack.id


def _check(row: TypeRow) -> None:
    check_description(row.description)
    check_properties(row.properties)
