"""What is offered: what the lists of stacks, templates and types of instances and teams have in common."""

from __future__ import annotations

from typing import ClassVar, Generic, Protocol, TypeVar

from tui.render import Piece
from tui.screens.objects import ObjectsScreen


class Offered(Protocol):
    """Something that is offered for what is made anew, or not."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def active(self) -> bool: ...


T = TypeVar("T", bound=Offered)


class CatalogueScreen(ObjectsScreen[T], Generic[T]):
    """`path` is where the box keeps them, `noun` what people call one."""

    path: ClassVar[str] = ""
    noun: ClassVar[str] = ""

    def offered(self, each: T) -> Piece:
        """The cell that says whether it is offered."""
        return ("offered", "plain") if each.active else ("withdrawn", "dim")

    def do_offer(self) -> None:
        if self.chosen is None:
            self.nobody()
            return
        each = self.chosen
        said = "is not offered any more; who has it keeps it" if each.active else "is offered"
        work = self.owner.client.put(f"{self.path}/{each.id}", {"active": not each.active})
        self.change(work, f"{each.name} {said}")

    def do_remove(self) -> None:
        if self.chosen is None:
            self.nobody()
            return
        each = self.chosen

        def go() -> None:
            self.change(self.owner.client.delete(f"{self.path}/{each.id}"), f"{each.name} is deleted")

        self.confirm(each.name, f"to delete the {self.noun}", go)
