"""The home screen: all instances, live."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import ClassVar

from appliance.schema.instances import Instance
from tui import keys
from tui.render import INSTANCE_COLUMNS, Piece, instance_cells, why
from tui.screens.lists import ListScreen
from tui.widgets.table import Rows


class InstancesScreen(ListScreen):
    """Instances in the order in which they were made; keys act on the one under the cursor."""

    word = "inst"
    columns = INSTANCE_COLUMNS
    scopes: ClassVar[tuple[str, ...]] = (keys.INSTANCES, keys.TABLE, keys.ANYWHERE)

    @property
    def current(self) -> Instance | None:
        """The instance under the cursor."""
        return self.known.instances.get(self.table.key or "")

    def rows(self) -> Rows:
        now = datetime.now(UTC)
        return {ident: instance_cells(each, now, self.profile) for ident, each in self.known.instances.items()}

    def nothing(self) -> str:
        if not self.known.loaded:
            return "asking the box"
        return "no instances yet; in a shell type: weir instance create NAME"

    def subject(self) -> list[Piece]:
        return why(self.current, self.profile) if self.current else []

    def do_logs(self) -> None:
        self.owner.act_on(self.current, "logs")

    def do_start(self) -> None:
        self.owner.act_on(self.current, "start")

    def do_stop(self) -> None:
        self.owner.act_on(self.current, "stop")

    def do_restart(self) -> None:
        self.owner.act_on(self.current, "restart")

    def do_address(self) -> None:
        self.owner.act_on(self.current, "address")
