"""The types of instances that are offered."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from appliance.schema.instances import InstanceType, InstanceTypes, Stacks
from tui import keytable, platformkeys
from tui.errors import BoxError
from tui.render import Column, Piece
from tui.screens.asking import Asked, AskScreen, Done, Values
from tui.screens.catalogue import KindsScreen, asked_of_each
from tui.screens.details import Fact
from tui.screens.forms import Field

NONE = ""


class TypesScreen(KindsScreen[InstanceType]):
    """All of them, in the order in which people see them."""

    word = "types"
    path = "/project-types"
    noun = "type of instances"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("NAME", 18),
        Column("DESCRIPTION", 0),
        Column("STACKS", 6, right=True),
        Column("INST", 4, right=True),
        Column("", 9),
    )
    empty = "no types of instances; c makes one"
    scopes: ClassVar[tuple[str, ...]] = (platformkeys.TYPES, keytable.LINES, keytable.TABLE, keytable.ANYWHERE)

    async def found(self) -> Iterable[tuple[str, InstanceType]]:
        listed = await self.owner.client.get(f"{self.path}?filter=all", InstanceTypes)
        return [(each.id, each) for each in listed.types]

    def cells(self, each: InstanceType) -> list[Piece]:
        return [
            (self.shown(each.name), "name"),
            (self.shown(each.description), "dim"),
            (str(each.stack_count), "plain"),
            (str(each.instance_count), "plain"),
            self.offered(each),
        ]

    def own_facts(self, each: InstanceType) -> list[Fact]:
        return [("default stack", each.default_stack or "none")]

    async def open_form(self, each: InstanceType | None) -> None:
        try:
            stacks = (await self.owner.client.get("/stacks?filter=all", Stacks)).stacks
        except BoxError as error:
            self.refused(error)
            return
        asked = asked_of_each()
        before = {"order": "0"}
        if each is not None:
            of = tuple((one.id, one.label or one.name) for one in stacks if one.project_type in (None, each.id))
            asked.append(Asked(Field("stack", "Default stack", "of new instances", choices=((NONE, "none"), *of))))
            before = {"name": each.name, "description": each.description, "order": str(each.order)}
            before["stack"] = each.default_stack or NONE

        async def send(given: Values) -> Done:
            return await self._send(each, given, before)

        title = f"type {each.name}" if each else "new type of instances"
        self.owner.push_screen(AskScreen(self.owner, title, asked, send, values=before))

    async def _send(self, each: InstanceType | None, given: Values, before: Values) -> Done:
        body: dict[str, Any] = {key: value for key, value in given.items() if value != before.get(key)}
        if "order" in body:
            body["order"] = int(body["order"])
        if "stack" in body:
            body["defaultStack"] = body.pop("stack") or None
        return await self.saved(each, body)
