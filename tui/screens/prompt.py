"""A question below the list and the line that answers it; hidden until asked."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Input

from tui.completion import completed
from tui.text import width
from tui.theme import Theme
from tui.widgets.line import Line


class Question(Struct, frozen=True):
    """What stands before the line, and what becomes of the answer.

    `typed` hears every change; `offers` says what the line may become (Tab); `recalls` brings earlier answers back;
    a `secret` is not shown; `verbatim` keeps blanks at the ends.
    """

    sign: str
    answer: Callable[[str], None]
    typed: Callable[[str], None] | None = None
    offers: Callable[[str], list[str]] | None = None
    recalls: bool = False
    secret: bool = False
    verbatim: bool = False


class Prompt(Horizontal):
    """Knows the question that is open."""

    DEFAULT_CSS = """
    Prompt { height: 1; display: none; }
    Prompt Input { width: 1fr; height: 1; border: none; padding: 0; background: ansi_default; color: ansi_default; }
    """

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.question: Question | None = None
        self._sign = Line(theme, id="sign")
        self._field = Input(select_on_focus=False, compact=True)

    @property
    def open(self) -> bool:
        return self.question is not None

    @property
    def value(self) -> str:
        return self._field.value

    @property
    def has_cursor(self) -> bool:
        """Whether what is typed arrives here by itself."""
        return self._field.has_focus

    def compose(self) -> ComposeResult:
        yield self._sign
        yield self._field

    def on_mount(self) -> None:
        self._field.cursor_blink = False

    def show(self, question: Question, value: str) -> None:
        """Open the line; what is typed from now on goes there."""
        self.question = question
        self.display = True
        self._sign.styles.width = min(width(question.sign) + 1, max(10, self.app.size.width - 12))
        self._sign.show([(question.sign, "key")])
        self._field.password = question.secret
        self.put(value)
        self.screen.set_focus(self._field)  # at once: field.focus() comes too late for what is typed behind the sign

    def hide(self) -> None:
        self.question = None
        self.display = False
        self._field.value = ""  # a secret stays nowhere

    def put(self, value: str) -> None:
        """Make this the line."""
        self._field.value = value
        self._field.cursor_position = len(value)

    def type(self, character: str) -> None:
        self._field.insert_text_at_cursor(character)

    def complete(self) -> None:
        """What Tab does."""
        if self.question is not None and self.question.offers is not None:
            self.put(completed(self.value, self.question.offers(self.value)))
