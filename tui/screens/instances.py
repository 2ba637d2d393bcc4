"""The home screen: all instances, live."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar

from appliance.schema.instances import Instance
from tui import keytable
from tui.render import INSTANCE_COLUMNS, LIVELY_FROM_CELLS, Piece, instance_cells, why
from tui.screens.acts import Acts
from tui.screens.lists import ListScreen
from tui.text import plural
from tui.widgets.table import Rows

if TYPE_CHECKING:
    from tui.app import WeirApp

AGE = next(at for at, column in enumerate(INSTANCE_COLUMNS) if column.title == "AGE")


class InstancesScreen(Acts, ListScreen):
    """Instances in the order in which they were made; keys act on the marked ones, or the one under the cursor."""

    word = "inst"
    columns = INSTANCE_COLUMNS
    marking = True
    scopes: ClassVar[tuple[str, ...]] = (
        keytable.INSTANCES,
        keytable.INSTANCE,
        keytable.LINES,
        keytable.TABLE,
        keytable.ANYWHERE,
    )

    def __init__(self, owner: WeirApp, about: tuple[Instance, ...] = ()) -> None:
        super().__init__(owner, about)
        self._drawn: dict[str, tuple[Instance, list[Piece]]] = {}
        self._minute = 0

    @property
    def current(self) -> Instance | None:
        """The instance under the cursor."""
        return self.known.instances.get(self.table.key or "")

    def targets(self) -> Sequence[Instance]:
        marked = [self.known.instances[key] for key in self.table.marked if key in self.known.instances]
        return marked or super().targets()

    def rows(self) -> Rows:
        now = datetime.now(UTC)
        minute = int(now.timestamp() // 60)
        if minute != self._minute:
            self._minute, self._drawn = minute, {}
        return {ident: self._cells(each, now) for ident, each in self.known.instances.items()}

    def _cells(self, each: Instance, now: datetime) -> list[Piece]:
        """A row is made anew when something is different: its instance, what depends on the second, the minute."""
        points = self.known.pictures.get(each.id)
        made = self._drawn.get(each.id)
        if made is not None and made[0] is each and not points and not each.meta.next_try_at:
            return made[1]
        cells = instance_cells(each, now, self.profile, points)
        if not cells[AGE][0].endswith("s"):  # so young that every second shows
            self._drawn[each.id] = (each, cells)
        return cells

    def paint(self) -> None:
        super().paint()
        self._want_pictures()

    def nothing(self) -> str:
        if not self.known.loaded:
            return "asking the box"
        return "no instances yet; c makes one" if self.may("project:create") else "no instances that you may see"

    def subject(self) -> list[Piece]:
        marked = len(self.table.marked)
        marks: list[Piece] = [(f"{plural(marked, 'instance')} marked  ", "key")] if marked else []
        found = self.current
        return [*marks, *(why(found, self.profile, self.known.pictures.get(found.id)) if found else [])]

    def on_table_moved(self) -> None:
        super().on_table_moved()
        self._want_pictures()

    def _want_pictures(self) -> None:
        """The pictures of what is on the screen; on a narrow one only that of the cursor is shown."""
        wide = self.size.width >= LIVELY_FROM_CELLS
        for ident in self.table.window if wide else [self.table.key or ""]:
            each = self.known.instances.get(ident)
            if each is not None and each.resources is not None:
                self.owner.live.want_picture(ident)
