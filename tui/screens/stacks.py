"""The stacks: the versions of Node-RED that instances run on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from appliance.schema.instances import InstanceType, InstanceTypes, Stack, Stacks
from tui import keytable, platformkeys
from tui.errors import BoxError
from tui.render import Column, Piece
from tui.screens.asking import Asked, AskScreen, Done, Values, needed
from tui.screens.catalogue import CatalogueScreen
from tui.screens.details import DetailsScreen, Fact
from tui.screens.forms import Field
from tui.signs import Kind
from tui.wire import decode

NONE = ""


class StacksScreen(CatalogueScreen[Stack]):
    """All of them, also those that are not offered; `built` says whether this box has its files."""

    word = "stacks"
    path = "/stacks"
    noun = "stack"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("NAME", 18),
        Column("LABEL", 0),
        Column("NODE-RED", 8),
        Column("ON THE BOX", 10),
        Column("INST", 4, right=True),
        Column("", 9),
    )
    empty = "no stacks; c makes one"
    scopes: ClassVar[tuple[str, ...]] = (platformkeys.STACKS, keytable.LINES, keytable.TABLE, keytable.ANYWHERE)

    async def found(self) -> Iterable[tuple[str, Stack]]:
        return [(each.id, each) for each in (await self.owner.client.get("/stacks?filter=all", Stacks)).stacks]

    def cells(self, each: Stack) -> list[Piece]:
        return [
            (self.shown(each.name), "name"),
            (self.shown(each.label), "plain"),
            (self.shown(str(each.properties.get("nodered", ""))), "plain"),
            ("built", "plain") if each.built else ("not built", Kind.CHANGING),
            (str(each.instance_count), "plain"),
            self.offered(each),
        ]

    def do_show(self) -> None:
        if (each := self.picked()) is None:
            return
        of = {one.id: one.label or one.name for one in self.items.values()}
        names = [one.name for one in self.known.instances.values() if one.stack.id == each.id]
        facts: list[Fact] = [
            ("name", each.name),
            ("label", each.label),
            ("offered", "yes" if each.active else "no"),
            ("on the box", "built" if each.built else "not built: weir stack build on the box builds it"),
            *((key, str(value)) for key, value in each.properties.items()),
            ("newer one", of.get(each.replaced_by or "", "none")),
            ("created", each.created_at),
            ("id", each.id),
            ("instances", "\n".join(names) or ("others', that you may not see" if each.instance_count else "none")),
        ]
        self.owner.push_screen(DetailsScreen(self.owner, facts, title=each.name))

    def do_create(self) -> None:
        self.run_worker(self._open_new(), exit_on_error=False, name="types of instances")

    async def _open_new(self) -> None:
        try:
            types = (await self.owner.client.get("/project-types", InstanceTypes)).types
        except BoxError as error:
            self.refused(error)
            return
        self.owner.push_screen(AskScreen(self.owner, "new stack", self._fields(types), self._create, values=FIRST))

    def _fields(self, types: list[InstanceType]) -> list[Asked]:
        kinds = tuple((each.id, each.name) for each in types)
        older = ((NONE, "none"), *((each.id, each.label or each.name) for each in self.items.values()))
        return [
            Asked(Field("name", "Name", "short and without blanks"), needed("a name")),
            Asked(Field("nodered", "Node-RED", "5, 4.1 or a whole version"), needed("a version")),
            Asked(Field("memory", "Memory, MB", "heap and buffers of an instance"), _wrong_memory),
            Asked(Field("label", "Label", "as people call it")),
            Asked(Field("type", "Type", "of the instances that it is for", choices=kinds, chosen=True)),
            Asked(Field("replaces", "Newer of", "the stack that it replaces", choices=older)),
        ]

    async def _create(self, given: Values) -> Done:
        properties = {"nodered": given["nodered"], "memory": given["memory"]}
        body: dict[str, Any] = {"name": given["name"], "label": given["label"], "properties": properties}
        body |= {"projectType": given["type"] or None}
        body |= {"replaces": given["replaces"]} if given["replaces"] != NONE else {}
        made = decode(await self.owner.client.post("/stacks", body), Stack)
        return Done(f"{made.name} is made")

    def do_edit(self) -> None:
        if (each := self.picked()) is None:
            return
        before = {"name": each.name, "label": each.label}
        asked = [
            Asked(Field("name", "Name", "can change while no instance runs on it"), needed("a name")),
            Asked(Field("label", "Label", "as people call it")),
        ]

        async def send(given: Values) -> Done:
            body = {key: value for key, value in given.items() if value != before[key]}
            if not body:
                return Done("nothing was changed")
            changed = decode(await self.owner.client.put(f"/stacks/{each.id}", body), Stack)
            return Done(f"{changed.name} is changed")

        self.owner.push_screen(AskScreen(self.owner, f"stack {each.name}", asked, send, values=before))


FIRST = {"memory": "256"}


def _wrong_memory(text: str) -> str:
    return "" if text.isdecimal() and int(text) > 0 else "a number of megabytes"
