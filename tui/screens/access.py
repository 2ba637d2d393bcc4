"""Where an instance is reached, and the same for a telephone's camera."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlsplit

from textual.containers import Horizontal
from textual.widget import Widget

from appliance.schema.box import BoxNames
from appliance.schema.instances import Instance
from tui.render import Column, Piece
from tui.screens.lists import FetchedScreen
from tui.screens.page import Page
from tui.text import visible
from tui.widgets.qr import Qr
from tui.widgets.table import Rows

if TYPE_CHECKING:
    from tui.app import WeirApp


class AccessScreen(Page, FetchedScreen):
    """The addresses of the editor under every name of the box; the code is that of the one at the cursor."""

    word = "access"
    columns: ClassVar[tuple[Column, ...]] = (Column("ADDRESS", 0), Column("NAME OF", 7, spare=1))

    def __init__(self, owner: WeirApp, about: tuple[Instance, ...] = ()) -> None:
        super().__init__(owner, about)
        self._names: dict[str, str] = {}

    def body(self) -> Widget:
        self.code = Qr(colour=self.profile.colour)
        self.code.display = not self.profile.ascii
        return Horizontal(super().body(), self.code)

    async def fetch(self) -> None:
        found = await self.owner.client.get("/box/names", BoxNames)
        self._names = {each.name: each.source for each in found.names}

    def rows(self) -> Rows:
        each = self.instance
        urls = {f"{each.url.rstrip('/')}/": ""} | self._others()
        return {
            url: [(visible(url, ascii_only=self.profile.ascii), "name"), (source, "dim")]
            for url, source in urls.items()
        }

    def paint(self) -> None:
        super().paint()
        self.code.show(self.table.key or self.instance.url)

    def on_table_moved(self) -> None:
        super().on_table_moved()
        self.code.show(self.table.key or self.instance.url)

    def subject(self) -> list[Piece]:
        said = super().subject()
        if said:
            return said
        if self.profile.ascii:
            return [("the code for a camera needs a terminal with UTF-8", "dim")]
        ports = "  ".join(f"{name} {port}" for name, port in self.instance.ports.items())
        return [(f"ports: {ports}", "dim")]

    def _others(self) -> dict[str, str]:
        """The same under the other names of the box; where the instance has a name of its own there are none."""
        found = urlsplit(self.instance.url)
        by_port = found.port is not None and found.port == self.instance.ports.get("public")
        if not by_port and found.path in ("", "/"):
            return {}
        port = f":{found.port}" if found.port else ""
        hosts = {f"[{name}]" if ":" in name else name: source for name, source in self._names.items()}
        return {f"https://{host}{port}{found.path.rstrip('/')}/": source for host, source in hosts.items()}
