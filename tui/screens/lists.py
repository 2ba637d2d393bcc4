"""Screens that are a list: what moves the cursor, marks and filters is the same in all."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, ClassVar

from textual.widget import Widget

from appliance.schema.instances import Instance
from tui import filters, keytable
from tui.errors import BoxError, Refused
from tui.render import Column, Piece
from tui.screens.frame import Frame
from tui.text import visible
from tui.widgets.table import Rows, Table

if TYPE_CHECKING:
    from tui.app import WeirApp

REFUSED_PAUSE_S = 15.0


class ListScreen(Frame):
    """A table and its keys. A subclass gives `columns`, `rows` and what to say when there are none."""

    columns: ClassVar[tuple[Column, ...]] = ()
    empty: ClassVar[str] = ""
    scopes: ClassVar[tuple[str, ...]] = (keytable.LINES, keytable.TABLE, keytable.ANYWHERE)
    marking: ClassVar[bool] = False

    def body(self) -> Widget:
        self.table = Table(self.looks, self.columns, empty=self.empty)
        return self.table

    def rows(self) -> Rows:
        """All rows by key, in order; the filter is applied to their text."""
        raise NotImplementedError

    def paint(self) -> None:
        rows = self.rows()
        shown = self._let_through(rows) if self.pattern else rows
        empty = f"nothing matches /{self.pattern}" if rows and not shown else self.nothing()
        self.table.show(shown, stale=bool(self.known.lost), empty=empty)

    def _let_through(self, rows: Rows) -> Rows:
        titles = [each.title.lower() for each in self.columns]
        wanted = filters.parse(self.pattern, frozenset(titles))
        return {
            key: cells
            for key, cells in rows.items()
            if wanted.lets(
                " ".join(text for text, _ in cells), dict(zip(titles, (text for text, _ in cells), strict=False))
            )
        }

    def nothing(self) -> str:
        """What the empty list says."""
        return self.empty

    def unwind(self) -> bool:
        return self.table.unmark()

    def details(self) -> list[tuple[str, str]]:
        """All of the line at the cursor: label and text."""
        cells = self.table.cells
        return [(column.title, text) for column, (text, _) in zip(self.columns, cells, strict=False)]

    def on_table_moved(self) -> None:
        self.say_again()
        self._paint_footer()

    def do_up(self) -> None:
        self.table.move(-1)

    def do_down(self) -> None:
        self.table.move(1)

    def do_page_up(self) -> None:
        self.table.move(-self.table.page())

    def do_page_down(self) -> None:
        self.table.move(self.table.page())

    def do_top(self) -> None:
        self.table.move_to(0)

    def do_bottom(self) -> None:
        self.table.move_to(self.table.last())

    def do_mark(self) -> None:
        if self.marking:
            self.table.mark()
            self.say_again()

    def do_unmark(self) -> None:
        self.table.unmark()
        self.say_again()

    def do_whole(self) -> None:
        from tui.screens.details import DetailsScreen

        if self.table.key is not None:
            self.owner.push_screen(DetailsScreen(self.owner, self.details(), title=self.label()))


class FetchedScreen(ListScreen):
    """A list that the box is asked for: at first, at ^R, and whenever `refetch` is called. A subclass gives `fetch`,
    which raises BoxError; what was there stays while the box is away or refuses."""

    def __init__(self, owner: WeirApp, about: tuple[Instance, ...] = ()) -> None:
        super().__init__(owner, about)
        self.trouble = ""
        self.fetched = False
        self._wanted = asyncio.Event()
        self._wanted.set()
        self._hurried = asyncio.Event()

    def on_mount(self) -> None:
        super().on_mount()
        self.run_worker(self._fetching(), exit_on_error=False, name=f"fetch {self.word}")

    async def fetch(self) -> None:
        """Ask the box and keep the answer."""
        raise NotImplementedError

    def refetch(self) -> None:
        """Ask again soon."""
        self._wanted.set()

    def do_refresh(self) -> None:
        self.refetch()
        self._hurried.set()
        super().do_refresh()

    def nothing(self) -> str:
        if self.trouble:
            return self.trouble
        return self.empty if self.fetched else "asking the box"

    def subject(self) -> list[Piece]:
        # Where there are no rows the list itself says it.
        return [(self.trouble, "bad")] if self.trouble and (self.fetched or self.table.key is not None) else []

    async def _fetching(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self.fetch()
                self.fetched, self.trouble = True, ""
            except BoxError as error:
                self.trouble = visible(f"{error.message} {error.hint}".strip(), ascii_only=self.profile.ascii)
                lasting = isinstance(error, Refused) and not error.passing
                self.repaint()
                await self._pause(REFUSED_PAUSE_S if lasting else 1)
                self._wanted.set()
            self.repaint()
            await asyncio.sleep(self.profile.repaint_s)  # several changes at once are one question

    async def _pause(self, pause_s: float) -> None:
        """Before the box is asked once more, unless somebody says that it is to be now."""
        self._hurried.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._hurried.wait()
