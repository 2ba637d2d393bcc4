"""A secret that the box shows once: on a screen of its own, and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.render import Piece
from tui.screens.details import DetailsScreen, Fact
from tui.signs import Kind

if TYPE_CHECKING:
    from tui.app import WeirApp


class SecretScreen(DetailsScreen):
    """Gone for good when it is left: it is in no history and no message."""

    def __init__(self, owner: WeirApp, facts: list[Fact], *, title: str) -> None:
        super().__init__(owner, facts, title=title)

    def subject(self) -> list[Piece]:
        return [("shown this once: take it now; Esc leaves", Kind.CHANGING)]
