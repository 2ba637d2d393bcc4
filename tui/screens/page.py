"""The page of an instance: each tab is a screen; what they share is here."""

from __future__ import annotations

from typing import ClassVar

from appliance.schema.instances import Instance
from tui import figures, keytable
from tui.render import Piece
from tui.screens.acts import Acts
from tui.screens.registry import TABS
from tui.signs import kind, signed
from tui.text import visible

SCOPES = (keytable.INSTANCE, keytable.LINES, keytable.TABLE, keytable.ANYWHERE)


class Page(Acts):
    """A tab: its head names the instance and its state, its second line the tabs that the user may see."""

    scopes: ClassVar[tuple[str, ...]] = SCOPES

    @property
    def instance(self) -> Instance:
        """The instance as it is known now; as it was, when it is gone."""
        found = self.current
        assert found is not None
        return found

    @property
    def gone(self) -> bool:
        """Whether the instance is not there any more."""
        return self.known.loaded and self.about[0].id not in self.known.instances

    def label(self) -> str:
        return f"{self.instance.name} {self.word}"

    def head(self) -> list[Piece]:
        each, flat = self.instance, self.profile.ascii
        state: Piece = ("deleted", "bad") if self.gone else (signed(each.meta.state), kind(each.meta.state))
        pieces: list[Piece] = [
            ("inst > ", "dim"),
            (visible(each.name, ascii_only=flat), "title"),
            ("  ", "plain"),
            state,
        ]
        if each.resources is not None and not self.gone:
            took = f"  cpu {figures.cpu(each.resources)}  mem {figures.memory(each.resources)}"
            pieces.append((took, "plain"))
        return pieces

    def where(self) -> list[Piece]:
        pieces: list[Piece] = []
        for each in TABS:
            if self.may(each.permission):
                pieces += [(f"{each.tab} {each.label}", "tab" if each.word == self.word else "dim"), (" ", "plain")]
        return pieces
