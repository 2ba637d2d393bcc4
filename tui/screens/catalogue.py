"""What is offered: what the lists of stacks, templates and types of instances and teams have in common."""

from __future__ import annotations

from typing import Any, ClassVar, Generic, Protocol, TypeVar

import msgspec
from msgspec import Struct

from tui.render import Piece
from tui.screens.asking import Asked, Done, needed
from tui.screens.details import DetailsScreen, Fact
from tui.screens.forms import Field
from tui.screens.objects import ObjectsScreen
from tui.wire import decode

LONGEST = 6  # digits of a place or a limit


class Offered(Protocol):
    """Something that is offered for what is made anew, or not."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def active(self) -> bool: ...


class Kind(Offered, Protocol):
    """A type: of instances, or of teams."""

    @property
    def description(self) -> str: ...
    @property
    def order(self) -> int: ...
    @property
    def properties(self) -> dict[str, Any]: ...


class _Named(Struct):
    name: str


T = TypeVar("T", bound=Offered)
K = TypeVar("K", bound=Kind)


class CatalogueScreen(ObjectsScreen[T], Generic[T]):
    """`path` is where the box keeps them, `noun` what people call one."""

    path: ClassVar[str] = ""
    noun: ClassVar[str] = ""

    def offered(self, each: T) -> Piece:
        """The cell that says whether it is offered."""
        return ("offered", "plain") if each.active else ("withdrawn", "dim")

    def do_offer(self) -> None:
        if (each := self.picked()) is None:
            return
        said = "is not offered any more; who has it keeps it" if each.active else "is offered"
        work = self.owner.client.put(f"{self.path}/{each.id}", {"active": not each.active})
        self.change(work, f"{each.name} {said}")

    def do_remove(self) -> None:
        if (each := self.picked()) is None:
            return
        self.delete(
            f"{self.path}/{each.id}", name=each.name, what=f"to delete the {self.noun}", done=f"{each.name} is deleted"
        )


class KindsScreen(CatalogueScreen[K], Generic[K]):
    """Lists of types. A subclass gives `open_form`, for a new one or one that is there, and `own_facts`."""

    async def open_form(self, each: K | None) -> None:
        """Ask the box for what the form needs, and show it."""
        raise NotImplementedError

    def own_facts(self, each: K) -> list[Fact]:
        """What is told of such a type and of no other."""
        raise NotImplementedError

    def do_create(self) -> None:
        self.run_worker(self.open_form(None), exit_on_error=False, name=self.word)

    def do_edit(self) -> None:
        if (each := self.picked()) is not None:
            self.run_worker(self.open_form(each), exit_on_error=False, name=self.word)

    def do_show(self) -> None:
        if (each := self.picked()) is None:
            return
        facts: list[Fact] = [
            ("name", each.name),
            ("description", each.description),
            ("offered", "yes" if each.active else "no"),
            ("place", str(each.order)),
            *self.own_facts(each),
            ("properties", msgspec.json.format(msgspec.json.encode(each.properties)).decode()),
            ("id", each.id),
        ]
        self.owner.push_screen(DetailsScreen(self.owner, facts, title=each.name))

    async def saved(self, each: K | None, body: dict[str, Any]) -> Done:
        """Make one of this, or change one; what to say then. Raises BoxError."""
        if not body:
            return Done("nothing was changed")
        client = self.owner.client
        asked = client.post(self.path, body) if each is None else client.put(f"{self.path}/{each.id}", body)
        return Done(f"{decode(await asked, _Named).name} is {'made' if each is None else 'changed'}")


def asked_of_each() -> list[Asked]:
    """The fields that the forms of all types begin with."""
    return [
        Asked(Field("name", "Name", "as people call it"), needed("a name")),
        Asked(Field("description", "Description", "in words")),
        Asked(Field("order", "Place", "in lists, lowest first"), _wrong_place),
    ]


def _wrong_place(text: str) -> str:
    digits = text.removeprefix("-")
    return "" if digits.isascii() and digits.isdecimal() and len(digits) <= LONGEST else "a whole number"
