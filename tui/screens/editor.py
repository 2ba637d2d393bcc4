"""A text of several lines, edited here; in the user's own editor only where he has an account on this machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from textual.app import SuspendNotSupported
from textual.events import Key
from textual.widget import Widget
from textual.widgets import TextArea

from tui import keytable, shell
from tui.errors import BoxError
from tui.render import Piece
from tui.screens.frame import Frame
from tui.signs import Kind

if TYPE_CHECKING:
    from tui.app import WeirApp


class EditorScreen(Frame):
    """^S or ^O takes the text, Esc leaves it as it was; ^G goes to $EDITOR."""

    scopes: ClassVar[tuple[str, ...]] = (keytable.ANYWHERE,)
    DEFAULT_CSS = """
    EditorScreen TextArea { height: 1fr; border: none; padding: 0 1; background: ansi_default; color: ansi_default; }
    """

    def __init__(self, owner: WeirApp, text: str, title: str, taken: Callable[[str], None]) -> None:
        super().__init__(owner)
        self._before = text
        self._title = title
        self._taken = taken

    def label(self) -> str:
        return self._title

    def body(self) -> Widget:
        self.area = TextArea(self._before, compact=True, show_line_numbers=True, theme="css")
        self.area.cursor_blink = False
        return self.area

    def subject(self) -> list[Piece]:
        own = ", ^G goes to your editor" if self._own_editor() else ""
        return [(f"^S or ^O takes the text, Esc leaves it as it was{own}", "dim")]

    def _paint_footer(self) -> None:
        self.hint(f"^S take  Esc leave{'  ^G editor' if self._own_editor() else ''}")

    def _own_editor(self) -> list[str]:
        """Its words; none for who came by a one-time ticket: an editor can start any program as the box's account."""
        return shell.own_editor(os.environ) if self.profile.files else []

    def _edit_elsewhere(self, editor: list[str]) -> None:
        try:
            with self.owner.suspend():
                text = shell.edited(self.area.text, editor)
        except SuspendNotSupported:
            self.say("this terminal cannot be lent to another program", Kind.BAD)
        except BoxError as error:
            self.refused(error)
        else:
            self.area.text = text
        self.owner.refresh(layout=True)

    def on_key(self, event: Key) -> None:
        if event.key == "ctrl+g" and (editor := self._own_editor()):
            event.stop()
            event.prevent_default()
            self._edit_elsewhere(editor)
        elif event.key in ("ctrl+s", "ctrl+o", "escape"):
            event.stop()
            event.prevent_default()
            self.owner.back()
            if event.key != "escape" and self.area.text != self._before:
                self._taken(self.area.text)
