"""The flows that were deployed last, as a tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from appliance.schema.instances import Instance, StoredFlows
from tui import flowtree, keytable
from tui.render import Column, Piece
from tui.screens.details import DetailsScreen
from tui.screens.lists import FetchedScreen
from tui.screens.page import SCOPES, Page
from tui.text import visible
from tui.widgets.table import Rows

if TYPE_CHECKING:
    from tui.app import WeirApp


class FlowsScreen(Page, FetchedScreen):
    """Tabs and subflows open and close; a node shows its properties; `/` looks through all that nodes say."""

    word = "flows"
    scopes: ClassVar[tuple[str, ...]] = (keytable.FLOWS, *SCOPES)
    columns: ClassVar[tuple[Column, ...]] = (Column("NAME", 0), Column("TYPE", 24), Column("NODES", 5, right=True))
    empty = "nothing was deployed yet"

    def __init__(self, owner: WeirApp, about: tuple[Instance, ...] = ()) -> None:
        super().__init__(owner, about)
        self.flows = flowtree.Tree([])
        self._opened: set[str] = set()
        self._of = self.instance.flow_last_updated_at

    async def fetch(self) -> None:
        found = await self.owner.client.get(f"/instances/{self.instance.id}/flows", StoredFlows)
        first = not self.fetched
        self.flows = flowtree.parse(found.flows)
        if first and len(self.flows.places) == 1:
            self._opened = set(self.flows.places)

    def heard(self, kind: str, ident: str) -> None:
        if ident == self.instance.id and self.instance.flow_last_updated_at != self._of:
            self._of = self.instance.flow_last_updated_at
            self.refetch()

    def rows(self) -> Rows:
        flat = self.profile.ascii
        return {
            f"{each.depth}{each.ident}": [
                (
                    f"{_sign(each)}{visible(each.name, ascii_only=flat)}",
                    "dim" if each.off else "name" if not each.depth else "plain",
                ),
                (visible(each.kind, ascii_only=flat) + (" (off)" if each.off else ""), "dim" if each.off else "plain"),
                (str(each.inside) if not each.depth else "", "plain"),
            ]
            for each in self.flows.rows(self._opened, self.pattern)
        }

    def paint(self) -> None:
        rows = self.rows()
        nothing = f"no node has /{self.pattern}" if self.pattern and self.flows.nodes else self.nothing()
        self.table.show(rows, stale=bool(self.known.lost), empty=nothing)

    def subject(self) -> list[Piece]:
        return super().subject() or [(flowtree.summary(self.flows), "dim")]

    def details(self) -> list[tuple[str, str]]:
        return self.flows.facts((self.table.key or " ")[1:])

    def do_fold(self) -> None:
        key = self.table.key
        if key is None:
            return
        if key[0] == "0":
            self._opened ^= {key[1:]}
            self.repaint()
        else:
            name = flowtree.name_of(self.flows.by_id.get(key[1:], {}))
            self.owner.push_screen(DetailsScreen(self.owner, self.details(), title=name))

    def do_fold_all(self) -> None:
        self._opened = set() if flowtree.opened_all(self.flows, self._opened) else set(self.flows.places)
        self.repaint()


def _sign(each: flowtree.Row) -> str:
    if each.depth:
        return "    "
    return "- " if each.open else "+ "
