"""Stacks: made, changed, removed with what was built for them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from appliance.errors import Invalid, NotFound
from appliance.model import Subject
from appliance.schema.catalogue import ChangeStack, CreateStack
from appliance.services.context import Context, Recorder
from appliance.services.maker import Maker, given, in_use
from appliance.services.people import updates
from appliance.services.stacks import build_name
from appliance.store import catalogue
from appliance.store.catalogue import StackRow
from appliance.store.engine import Tx
from appliance.store.ids import new_id

# What a stack may say; each is a text that matches whole.
PROPERTIES = {
    "nodered": re.compile(r"\d{1,3}(\.\d{1,4}){0,2}", re.ASCII),
    "node": re.compile(r"\d{1,3}(\.\d{1,4}){0,2}", re.ASCII),
    "memory": re.compile(r"[1-9]\d{0,6}", re.ASCII),
    "build": re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII),
}
_LABEL_LENGTH = 128
_FIXED = ("name", "instance_type_id", "properties")


class StackLife:
    """The stacks of this box; administrators make them. Answers ids: reading is `Stacks`' part.

    `versions`: the Node-RED of each stack that this Weir can build. `unbuild` removes built files; it blocks.
    """

    def __init__(
        self, context: Context, audit: Recorder, *, versions: Mapping[str, str], unbuild: Callable[[str], None]
    ) -> None:
        self._make = Maker(context, audit, what="a stack", kind="stack", body="stack")
        self._versions = versions
        self._unbuild = unbuild

    async def create(self, subject: Subject, body: CreateStack) -> str:
        """Raises Invalid: `invalid_stack` for what can't be replaced; for names and properties that can't be."""
        new = StackRow(
            id=new_id(),
            name=self._make.name(body.name),
            label=_label(body.label),
            active=body.active,
            instance_type_id=None,
            properties=self._properties(body.name.strip(), body.properties),
            replaced_by=None,
            created_at=self._make.context.now_ms(),
            instance_count=0,
        )

        def work(tx: Tx) -> None:
            made = msgspec.structs.replace(new, instance_type_id=_type(tx, body.project_type))
            older = _replaceable(tx, made, body.replaces or body.replace)
            catalogue.add(tx, made)
            told: dict[str, Any] = {}
            if older is not None:
                catalogue.replaced(tx, older.id, made.id)
                told = {"info": {"replaces": {"id": older.id, "name": older.name}}}
            self._make.record(tx, "created", subject, made, told)

        await self._make.write(work, new.name)
        return new.id

    async def register(self, subject: Subject, build: str) -> None:
        """See that instances can be made on what was built as `build`; nothing to do when they can."""
        rows = await self._make.context.store.read(catalogue.all_stacks)
        if build not in self._versions or any(build_name(row.name, row.properties) == build for row in rows):
            return
        version = self._versions[build]
        properties = {"nodered": version, "memory": "256"}
        kind = await self._make.context.store.read(_first_type)
        body = CreateStack(
            name=build, label=f"Node-RED {version}", project_type=kind, properties=properties, active=True
        )
        await self.create(subject, body)

    async def change(self, subject: Subject, stack_id: str, body: ChangeStack) -> str:
        """What is left out stays. Raises NotFound, Invalid; for all but label and active while instances run on it."""
        wanted = given(body)

        def work(tx: Tx) -> None:
            row = _get(tx, stack_id)
            after = self._changed(tx, row, wanted)
            if row.instance_count and any(getattr(row, name) != getattr(after, name) for name in _FIXED):
                raise Invalid(
                    f"{row.instance_count} instances run on the stack '{row.name}': only its label, and whether it is "
                    "offered, can change.",
                    hint="Make a new stack that replaces it.",
                )
            catalogue.change(tx, after)
            if changed := updates(msgspec.structs.asdict(row), msgspec.structs.asdict(after)):
                self._make.record(tx, "updated", subject, after, {"updates": changed})

        await self._make.write(work, str(wanted.get("name", "")))
        return stack_id

    async def remove(self, subject: Subject, stack_id: str) -> None:
        """Drop it, and its files unless another stack shares them.

        Raises NotFound, Invalid `unexpected_error` while instances run on it.
        """

        def work(tx: Tx) -> str:
            row = _get(tx, stack_id)
            if row.instance_count:
                raise in_use("stack", row.name, row.instance_count)
            catalogue.remove(tx, row)
            self._make.record(tx, "deleted", subject, row, {})
            build = build_name(row.name, row.properties)
            shared = any(build_name(each.name, each.properties) == build for each in catalogue.all_stacks(tx))
            return "" if shared else build

        if build := await self._make.context.store.write(work):
            await asyncio.to_thread(self._unbuild, build)

    def _changed(self, tx: Tx, row: StackRow, wanted: Mapping[str, Any]) -> StackRow:
        fields = {key: value for key, value in wanted.items() if key in ("active",)}
        name = self._make.name(wanted["name"]) if "name" in wanted else row.name
        if "label" in wanted:
            fields["label"] = _label(wanted["label"])
        if "project_type" in wanted:
            fields["instance_type_id"] = _type(tx, wanted["project_type"])
        if "properties" in wanted:
            fields["properties"] = self._properties(name, wanted["properties"])
        elif name != row.name:  # what was built for it keeps its name
            fields["properties"] = {**row.properties, "build": build_name(row.name, row.properties)}
        return msgspec.structs.replace(row, name=name, **fields)

    def _properties(self, name: str, wanted: Mapping[str, Any]) -> dict[str, str]:
        """As they are kept, with what must be built for the version of Node-RED that is asked for."""
        found = {key: str(value) for key, value in wanted.items() if isinstance(value, str | int)}
        for key, value in wanted.items():
            pattern = PROPERTIES.get(key)
            if pattern is None or isinstance(value, bool) or pattern.fullmatch(found.get(key, "")) is None:
                known = ", ".join(sorted(PROPERTIES.keys() - {"build"}))
                raise Invalid(f"A stack has no property '{key[:40]}' with this value.", hint=f"It has: {known}.")
        found.pop("build", None)  # it is shown, and comes back with the others: ours to say
        return found | self._build(name, found.get("nodered"))

    def _build(self, name: str, version: str | None) -> dict[str, str]:
        wanted = self._versions.get(name) if version is None else version
        if wanted is None:
            raise Invalid("The stack does not say which Node-RED it is.", hint=f"properties.nodered: {self._known()}")
        for build, known in sorted(self._versions.items(), reverse=True):
            if known == wanted or known.startswith(f"{wanted}."):
                return {"nodered": known} | ({} if build == name else {"build": build})
        raise Invalid(f"This Weir builds no Node-RED {wanted}.", hint=f"It builds: {self._known()}.")

    def _known(self) -> str:
        return ", ".join(sorted(self._versions.values()))


def _get(tx: Tx, stack_id: str) -> StackRow:
    row = catalogue.stack(tx, stack_id)
    if row is None or row.id != stack_id:
        raise NotFound("There is no such stack.", hint="See: weir stack list")
    return row


def _first_type(tx: Tx) -> str | None:
    first = next((kind for kind in catalogue.types(tx) if kind.active), None)
    return first.id if first else None


def _type(tx: Tx, wanted: str | None) -> str | None:
    if not wanted:
        return None
    kind = catalogue.instance_type(tx, wanted)
    if kind is None:
        raise Invalid(f"There is no instance type '{wanted[:80]}'.", hint="See: weir type list")
    return kind.id


def _replaceable(tx: Tx, new: StackRow, wanted: str | None) -> StackRow | None:
    if not wanted:
        return None
    row = catalogue.stack(tx, wanted)
    if row is None or row.replaced_by is not None or row.instance_type_id != new.instance_type_id:
        raise Invalid(
            f"The stack '{wanted[:80]}' can't be replaced by this one.",
            code="invalid_stack",
            hint="A stack is replaced once, by one of the same instance type.",
        )
    return row


def _label(text: str) -> str:
    if len(text) > _LABEL_LENGTH or not text.isprintable():
        raise Invalid(f"A label has at most {_LABEL_LENGTH} characters, all of them visible.", hint="Shorten it.")
    return text.strip()
