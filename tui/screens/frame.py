"""What every screen has: header, banner, where one is, the body, a message, the prompt, the footer."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.events import Key, Paste
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input

from appliance.schema.instances import Instance
from tui import completion, keytable
from tui.action import Action
from tui.errors import BoxError
from tui.render import Piece, header
from tui.screens.prompt import Prompt, Question
from tui.screens.registry import PLACES, Place
from tui.signs import Kind
from tui.text import visible, width
from tui.visits import Visit
from tui.widgets.line import Line

if TYPE_CHECKING:
    from tui.app import WeirApp

SAID_S = 6.0
MADE_FOR = (80, 24)
ROOMY = 10  # lines from which on there is one for where one is
NO_SANDBOX = "instances have no sandbox on this box, so shells are for its administrators"
ARROW = " > "
OFFERED = 12  # commands in the footer while one is typed


class Frame(Screen[None], inherit_bindings=False):
    """Base of all screens. A subclass gives `scopes` (the first wins a key), a `body`, and methods `do_<action>`.

    `word` is its own in the registry; `label` is what the path calls it.
    """

    scopes: ClassVar[tuple[str, ...]] = (keytable.ANYWHERE,)
    word: ClassVar[str] = ""
    DEFAULT_CSS = """
    Frame { layout: vertical; overflow: hidden; background: ansi_default; color: ansi_default; }
    Frame > #banner { display: none; }
    """

    def __init__(self, owner: WeirApp, about: tuple[Instance, ...] = ()) -> None:
        super().__init__()
        self.owner = owner
        self.known = owner.known
        self.profile = owner.profile
        self.looks = owner.looks
        self.about = about
        self.visit: Visit | None = Visit(self.word) if self.word else None
        self.pattern = ""
        self.prompt = Prompt(self.looks)
        self._said: list[Piece] = []
        self._ready = False
        self._recalled = 0

    # -- for subclasses -----------------------------------------------------------------------------
    @property
    def current(self) -> Instance | None:
        """The instance that this screen is about, or that the cursor is on, as it is now."""
        return self.known.instances.get(self.about[0].id, self.about[0]) if self.about else None

    @property
    def tab(self) -> int:
        """The number of its tab on the page of an instance; 0 for all other screens."""
        return next((each.tab for each in PLACES if each.word == self.word), 0)

    def targets(self) -> Sequence[Instance]:
        """The instances that an action means: the marked ones, or the current one."""
        return [self.current] if self.current else []

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

    def named(self, rest: str) -> None:
        """What was typed behind the word of a screen that is not about an instance."""
        self.say(f"'{self.word}' takes no name")

    def heard(self, kind: str, ident: str) -> None:
        """An event of the box about an instance; what is known is up to date already."""

    def label(self) -> str:
        """What the path calls this screen."""
        return self.word

    def unwind(self) -> bool:
        """Take back something before Esc leaves the screen, such as marks; False when there is nothing."""
        return False

    def head(self) -> list[Piece]:
        return header(self.known, self.profile)

    def where(self) -> list[Piece]:
        """The second line: the path from the first screen to this one; what does not fit is left out at its begin."""
        names = [visible(each.label(), ascii_only=self.profile.ascii) for each in self.owner.path]
        before, here = names[:-1], names[-1] if names else self.label()
        while before and width(ARROW.join([*before, here])) + 4 > self.size.width:
            before = [self.profile.more, *before[2 if before[0] == self.profile.more else 1 :]]
            if before == [self.profile.more]:
                break
        return [(ARROW.join([*before, ""]), "dim"), (here, "head")] if before else [(here, "head")]

    # -- frame --------------------------------------------------------------------------------------
    def compose(self) -> ComposeResult:
        yield Line(self.looks, id="header")
        yield Line(self.looks, id="banner")
        yield Line(self.looks, id="where")
        yield self.body()
        yield Line(self.looks, id="message")
        yield self.prompt
        yield Line(self.looks, id="footer")

    def on_mount(self) -> None:
        self._ready = True
        self.repaint()

    def on_resize(self) -> None:
        self._paint_footer()
        cells, lines = self.size
        self.query_one("#where", Line).display = lines >= ROOMY
        if cells < MADE_FOR[0] or lines < MADE_FOR[1]:
            self.say(f"{cells}x{lines} is small: made for {MADE_FOR[0]}x{MADE_FOR[1]}", Kind.CHANGING)

    def repaint(self) -> None:
        """Bring all lines to what is known; only what looks different is painted."""
        if not self._ready:
            return
        self.query_one("#header", Line).show(self.head())
        banner = self.query_one("#banner", Line)
        banner.show([(f"what you see is old, trying again: {self.known.lost}", "banner")])
        banner.display = bool(self.known.lost)
        where = self.query_one("#where", Line)
        where.show(self.where())
        where.display = self.size.height >= ROOMY
        self.paint()
        self.say_again()
        if not self.prompt.open:
            self._paint_footer()

    def say(self, text: str, style: str = "plain") -> None:
        """Tell something for a few seconds, or until the next key is pressed."""
        said: list[Piece] = [(visible(text, ascii_only=self.profile.ascii), style)]
        self._said = said
        self.say_again()
        self.set_timer(SAID_S, lambda: self._unsay(said))

    def refused(self, error: BoxError, about: str = "") -> None:
        """Tell what the box refused, and what to do next."""
        self.say(f"{about}{': ' if about else ''}{error.message} {error.hint}".strip(), Kind.BAD)
        if getattr(error, "status", 0) == 403:
            self.owner.live.recheck_rights()

    def attempt(self, work: Awaitable[object], *, done: str = "", then: Callable[[], None] | None = None) -> None:
        """Ask the box for something beside; tell when it is done, or why it was refused."""

        async def run() -> None:
            try:
                await work
            except BoxError as error:
                self.refused(error)
                return
            if done:
                self.say(done)
            if then is not None:
                then()

        self.run_worker(run(), exit_on_error=False, name=done or "request")

    def say_again(self) -> None:
        if not self._ready:
            return
        filtering: list[Piece] = [(f"/{self.pattern}  ", "key")] if self.pattern else []
        self.query_one("#message", Line).show(self._said or [*filtering, *self.subject()])

    def may(self, permission: str) -> bool:
        """Whether the user may do that here: to the current instance, else anywhere."""
        return self.known.may(permission, [self.current] if self.current else ())

    def offers(self, what: Action | Place) -> bool:
        """Whether it can be had here: by who is at the screens, and from where he is."""
        return self.owner.has(what.needs) and self.may(what.permission)

    def _unsay(self, said: list[Piece]) -> None:
        if said and said is self._said:
            self._said = []
            self.say_again()

    def _paint_footer(self) -> None:
        pieces: list[Piece] = []
        for key, label in self.owner.keys.footer(self.scopes, self.size.width - 2, self.offers):
            pieces += [(key, "key"), (f" {label}", "plain"), ("  ", "plain")]
        self.query_one("#footer", Line).show(pieces[:-1])

    # -- keys ---------------------------------------------------------------------------------------
    def on_key(self, event: Key) -> None:
        self.owner.live.typed()
        if self.prompt.open:
            self._key_in_prompt(event)
            return
        self._unsay(self._said)
        action = self.owner.keys.keymap(self.scopes).get(event.key)
        if action is not None:
            event.stop()
            event.prevent_default()
            self.act(action)

    def _key_in_prompt(self, event: Key) -> None:
        """What belongs into the prompt, though it was on its way to the list when that was opened (pasted, or typed
        faster than the screen follows): a letter of a command must not act as a key."""
        done = True
        if event.key == "escape":
            self._close_prompt()
        elif event.key == "tab":
            self.prompt.complete()
        elif event.key in ("up", "down"):
            self._recall(-1 if event.key == "up" else 1)
        elif event.key == "enter" and not self.prompt.has_cursor:
            self._answered(self.prompt.value)
        elif event.is_printable and event.character and not self.prompt.has_cursor:
            self.prompt.type(event.character)
        else:
            done = False
        if done:
            event.stop()
            event.prevent_default()

    def on_paste(self, event: Paste) -> None:
        """Pasted text is typed text; where there is no prompt it does nothing, whatever keys it names."""
        event.stop()

    def act(self, action: Action) -> None:
        """Do an action of the table."""
        if not self.may(action.permission):
            self.say(f"your role does not let you {action.label}")
        elif action.needs == "shell" and not self.owner.has("shell"):  # what needs files says itself what else there is
            self.say(NO_SANDBOX, Kind.BAD)
        elif action.place:
            self.owner.go(action.place, self.targets())
        elif (method := getattr(self, f"do_{action.id}", None)) is not None:
            method()
        else:
            self.say(f"'{action.label}' does nothing here")

    def do_filter(self) -> None:
        self.ask(Question("/", self.set_filter, typed=None if self.profile.low else self.set_filter), self.pattern)

    def do_command(self) -> None:
        self._recalled = 0
        self.ask(Question(":", self._command, offers=self._offers, recalls=True))

    def do_help(self) -> None:
        self.owner.go("help")

    def do_refresh(self) -> None:
        self.owner.reload()
        self.say("asked the box again")

    def do_back(self) -> None:
        if self.unwind():
            self.repaint()
        elif self.pattern:
            self.set_filter("")
        else:
            self.owner.back()

    def do_before(self) -> None:
        self.owner.again(self.owner.visits.step(-1))

    def do_after(self) -> None:
        self.owner.again(self.owner.visits.step(1))

    def do_last(self) -> None:
        last = self.owner.visits.last
        if last is not None:
            self.owner.visits.go(last)
        self.owner.again(last)

    def do_quit(self) -> None:
        self.owner.back(quit_at_first=True)

    def set_filter(self, pattern: str) -> None:
        if pattern != self.pattern:
            self.pattern = pattern
            self.filtered(pattern)
        self.say_again()

    # -- prompt -------------------------------------------------------------------------------------
    def ask(self, question: Question, value: str = "") -> None:
        """Ask for a line of text below the body; Esc takes the question back."""
        self.query_one("#message", Line).display = False
        self.prompt.show(question, value)
        self._offer(value)

    def confirm(self, name: str, what: str, go: Callable[[], None]) -> None:
        """Do something that can't be undone after its name was typed; anything else does nothing."""

        def answer(typed: str) -> None:
            if typed == name:
                go()
            else:
                self.say("nothing was done: the name was not typed")

        self.ask(Question(f"type {visible(name, ascii_only=self.profile.ascii)} {what}: ", answer))

    def hint(self, text: str, style: str = "plain") -> None:
        """Say something in the footer while a question is open."""
        self.query_one("#footer", Line).show([(visible(text, ascii_only=self.profile.ascii), style)])

    def _command(self, text: str) -> None:
        if text:
            self.owner.command(text)

    def _offers(self, typed: str) -> list[str]:
        word, blank, _ = typed.lstrip().partition(" ")
        kind = self.owner.names.kind(word)
        names = self.owner.names.known(kind) if kind else self.row_names() if word == self.word else []
        if blank and self.owner.names.wanting(kind):
            self.run_worker(self._learn_names(), exit_on_error=False, name="names")
        return completion.matches(typed, self.owner.words(), names, takes_name=frozenset({word}))

    def row_names(self) -> list[str]:
        """The names that this screen shows, for a word that is its own."""
        return []

    async def _learn_names(self) -> None:
        with contextlib.suppress(BoxError):  # then there is nothing to complete; what is typed counts all the same
            await self.owner.names.learn()
        if self.prompt.open:
            self._offer(self.prompt.value)

    def _offer(self, typed: str) -> None:
        question = self.prompt.question
        if question is not None and question.offers is not None:
            self.hint("  ".join(question.offers(typed)[:OFFERED]), "dim")

    def _recall(self, by: int) -> None:
        before = self.owner.typed_before
        if self.prompt.question is None or not self.prompt.question.recalls or not before:
            return
        self._recalled = max(0, min(len(before), self._recalled - by))
        self.prompt.put(before[-self._recalled] if self._recalled else "")

    def _close_prompt(self) -> None:
        self.prompt.hide()
        self.query_one("#message", Line).display = True
        self._paint_footer()
        for widget in self._focusable():
            widget.focus()
            return

    def _focusable(self) -> Iterable[Widget]:
        return (each for each in self.query("*") if each.can_focus and not isinstance(each, Input))

    def on_input_changed(self, event: Input.Changed) -> None:
        question = self.prompt.question
        if question is not None:
            if question.typed is not None:
                question.typed(event.value)
            self._offer(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self._answered(event.value)

    def _answered(self, value: str) -> None:
        question = self.prompt.question
        if question is None:
            return
        self._close_prompt()
        question.answer(value if question.secret or question.verbatim else value.strip())
