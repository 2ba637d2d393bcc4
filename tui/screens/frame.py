"""What every screen has: header, banner, the list, a message, the prompt, the footer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.events import Key
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input

from appliance.schema.instances import Instance
from tui import keys
from tui.render import Piece, header
from tui.signs import Kind
from tui.text import visible
from tui.widgets.line import Line

if TYPE_CHECKING:
    from tui.app import WeirApp


SAID_S = 6.0
MADE_FOR = (80, 24)


class Prompt(Horizontal):
    """`/` or `:` and a line to type in; hidden until asked for."""

    DEFAULT_CSS = """
    Prompt { height: 1; display: none; }
    Prompt Line { width: 2; }
    Prompt Input { width: 1fr; height: 1; border: none; padding: 0; background: ansi_default; color: ansi_default; }
    """


class Frame(Screen[None]):
    """Base of all screens. A subclass gives `scopes` (the first wins a key), a `body`, and methods `do_<action>`."""

    scopes: ClassVar[tuple[str, ...]] = (keys.ANYWHERE,)
    word: ClassVar[str] = ""
    DEFAULT_CSS = """
    Frame { layout: vertical; overflow: hidden; background: ansi_default; color: ansi_default; }
    Frame > #banner { display: none; }
    """

    def __init_subclass__(cls) -> None:
        made = keys.keymap(cls.scopes).items()
        cls.BINDINGS = [Binding(key, f"act('{each.id}')", each.label, show=False) for key, each in made]
        super().__init_subclass__()

    def __init__(self, owner: WeirApp) -> None:
        super().__init__()
        self.owner = owner
        self.known = owner.known
        self.profile = owner.profile
        self.looks = owner.looks
        self.pattern = ""
        self._asked = ""
        self._said: list[Piece] = []
        self._ready = False

    @property
    def current(self) -> Instance | None:
        """The instance that this screen is about, or that the cursor is on."""
        return None

    # -- for subclasses -----------------------------------------------------------------------------
    def body(self) -> Widget:
        """The widget between banner and message; it has the focus."""
        raise NotImplementedError

    def paint(self) -> None:
        """Show what is known now."""

    def filtered(self, pattern: str) -> None:
        """The filter was changed."""
        self.paint()

    def subject(self) -> list[Piece]:
        """The message line while there is nothing else to say."""
        return []

    # -- frame --------------------------------------------------------------------------------------
    def compose(self) -> ComposeResult:
        yield Line(self.looks, id="header")
        yield Line(self.looks, id="banner")
        yield self.body()
        yield Line(self.looks, id="message")
        with Prompt():
            yield Line(self.looks, id="sign")
            yield Input(select_on_focus=False, compact=True)
        yield Line(self.looks, id="footer")

    def on_mount(self) -> None:
        self.query_one(Input).cursor_blink = False
        self._ready = True
        self.repaint()

    def on_resize(self) -> None:
        self._paint_footer()
        width, height = self.size
        if width < MADE_FOR[0] or height < MADE_FOR[1]:
            self.say(f"{width}x{height} is small: made for {MADE_FOR[0]}x{MADE_FOR[1]}", Kind.CHANGING)

    def repaint(self) -> None:
        """Bring header, banner and body to what is known."""
        if not self._ready:
            return
        self.query_one("#header", Line).show(self.head())
        banner = self.query_one("#banner", Line)
        banner.show([(f"{self.known.lost}; what you see is old, trying again", "banner")])
        banner.display = bool(self.known.lost)
        self.paint()
        self.say_again()

    def head(self) -> list[Piece]:
        return header(self.known, self.profile)

    def say(self, text: str, style: str = "plain") -> None:
        """Tell something for a few seconds, or until the next key is pressed."""
        said: list[Piece] = [(visible(text, ascii_only=self.profile.ascii), style)]
        self._said = said
        self.say_again()
        self.set_timer(SAID_S, lambda: self._unsay(said))

    def say_again(self) -> None:
        filtering: list[Piece] = [(f"/{self.pattern}  ", "key")] if self.pattern else []
        self.query_one("#message", Line).show(self._said or [*filtering, *self.subject()])

    def on_key(self) -> None:
        self._unsay(self._said)

    def takes(self, event: Key) -> bool:
        """Whether the key belongs into the prompt, though it was on its way to the list when that was opened (pasted,
        or typed faster than the screen follows): a letter of a command must not act as a key."""
        if not self._asked or not event.is_printable or not event.character:
            return False
        self.query_one(Input).insert_text_at_cursor(event.character)
        return True

    def _unsay(self, said: list[Piece]) -> None:
        if said and said is self._said:
            self._said = []
            self.say_again()

    def _paint_footer(self) -> None:
        pieces: list[Piece] = []
        for key, label in keys.footer(self.scopes, self.size.width - 2):
            pieces += [(key, "key"), (f" {label}", "plain"), ("  ", "plain")]
        self.query_one("#footer", Line).show(pieces[:-1])

    # -- actions ------------------------------------------------------------------------------------
    def action_act(self, name: str) -> None:
        """A key was pressed: do the action of that id."""
        act = getattr(self, f"do_{name}", None)
        if act is None:
            self.say(f"'{name}' does nothing here")
        else:
            act()

    def do_filter(self) -> None:
        self._ask("/", self.pattern)

    def do_command(self) -> None:
        self._ask(":", "")

    def do_help(self) -> None:
        self.owner.go("help")

    def do_refresh(self) -> None:
        self.owner.reload()
        self.say("asked the box again")

    def do_back(self) -> None:
        if self._asked:
            self._close_prompt()
        elif self.pattern:
            self.set_filter("")
        else:
            self.owner.back()

    def do_quit(self) -> None:
        self.owner.back(quit_at_first=True)

    def set_filter(self, pattern: str) -> None:
        self.pattern = pattern
        self.filtered(pattern)
        self.say_again()

    # -- prompt -------------------------------------------------------------------------------------
    def _ask(self, sign: str, value: str) -> None:
        self._asked = sign
        self.query_one("#message", Line).display = False
        self.query_one(Prompt).display = True
        self.query_one("#sign", Line).show([(sign, "key")])
        field = self.query_one(Input)
        field.value = value
        field.cursor_position = len(value)
        self.set_focus(field)  # at once: field.focus() comes too late for what is typed behind the sign

    def _close_prompt(self) -> None:
        self._asked = ""
        self.query_one(Prompt).display = False
        self.query_one("#message", Line).display = True
        self._focus_body()

    def _focus_body(self) -> None:
        for widget in self._focusable():
            widget.focus()
            return

    def _focusable(self) -> Iterable[Widget]:
        return (each for each in self.query("*") if each.can_focus and not isinstance(each, Input))

    def on_input_changed(self, event: Input.Changed) -> None:
        if self._asked == "/" and not self.profile.low and event.value != self.pattern:
            self.set_filter(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        asked, value = self._asked, event.value.strip()
        self._close_prompt()
        if asked == "/":
            self.set_filter(value)
        elif asked == ":" and value:
            self.owner.command(value)
