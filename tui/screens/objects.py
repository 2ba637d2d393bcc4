"""Lists of what the box keeps: people, teams, stacks and so on, by id."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Generic, TypeVar

from appliance.schema.instances import Instance
from tui.render import Piece
from tui.screens.lists import FetchedScreen
from tui.signs import Kind
from tui.text import visible
from tui.widgets.table import Rows

if TYPE_CHECKING:
    from tui.app import WeirApp

T = TypeVar("T")


class ObjectsScreen(FetchedScreen, Generic[T]):
    """A subclass gives `found`, which asks the box for the things by id, and `cells`, a row of one."""

    def __init__(self, owner: WeirApp, about: tuple[Instance, ...] = ()) -> None:
        super().__init__(owner, about)
        self.items: dict[str, T] = {}
        self._named = ""  # the row that is looked for

    async def found(self) -> Iterable[tuple[str, T]]:
        """Ask the box; raises BoxError."""
        raise NotImplementedError

    def cells(self, each: T) -> list[Piece]:
        """One row."""
        raise NotImplementedError

    async def fetch(self) -> None:
        self.items = dict(await self.found())

    def named(self, rest: str) -> None:
        """Put the cursor on what is called so, once it is there."""
        self._named = rest
        self.refetch()

    def row_names(self) -> list[str]:
        return [cells[0][0] for cells in self.rows().values() if cells]

    def paint(self) -> None:
        super().paint()
        if self._named and self.fetched:
            self._put_cursor(self._named)
            self._named = ""

    def _put_cursor(self, name: str) -> None:
        rows = self.rows()
        at = next((at for at, key in enumerate(self.table.keys) if rows[key][0][0] == name), None)
        if at is None:
            self.say(f"there is no '{name}' here", Kind.BAD)
        else:
            self.table.move_to(at)

    def rows(self) -> Rows:
        return {key: self.cells(each) for key, each in self.items.items()}

    def on_screen_resume(self) -> None:
        """What was done on the screen above may have changed what this one shows."""
        if self.fetched:
            self.refetch()

    @property
    def chosen(self) -> T | None:
        """What the cursor is on."""
        return self.items.get(self.table.key or "")

    def shown(self, text: str) -> str:
        """Somebody's text, as the terminal may show it."""
        return visible(text, ascii_only=self.profile.ascii)

    def change(self, work: Awaitable[object], done: str, then: Callable[[], None] | None = None) -> None:
        """Have the box change something, say so, and ask it for the list again."""

        def after() -> None:
            self.refetch()
            if then is not None:
                then()

        self.attempt(work, done=done, then=after)

    def delete(self, path: str, *, name: str, what: str, done: str) -> None:
        """Have the box delete what is at `path`, after its name was typed."""
        self.confirm(name, what, lambda: self.change(self.owner.client.delete(path), done))

    def picked(self) -> T | None:
        """What the cursor is on, to do something to it; where there is nothing, that is said."""
        if self.chosen is None:
            self.nobody()
        return self.chosen

    def nobody(self) -> None:
        """Say that the list is empty where something of it is meant."""
        self.say("there is nothing under the cursor")
