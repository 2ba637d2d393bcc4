"""Forms: a line per field, its value, and what is wrong with it; nothing is sent before all is right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from msgspec import Struct

from appliance.schema.instances import Instance
from tui import keytable
from tui.render import Column, Piece
from tui.screens.lists import ListScreen
from tui.screens.prompt import Question
from tui.signs import Kind
from tui.text import visible
from tui.widgets.table import Rows

if TYPE_CHECKING:
    from tui.app import WeirApp

DO = "do"  # the key of the last line


class Field(Struct, frozen=True):
    """`choices`: value and what people read; none means that text is typed. A `secret` is not shown."""

    id: str
    label: str
    help: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    chosen: bool = False  # one of `choices`, though there may be none to choose from yet
    secret: bool = False


class FormScreen(ListScreen):
    """A subclass gives `fields`, which may depend on `values`, `check`, `submit` and the words of the last line.

    `values` holds what was given by the id of the field; a choice that was not made is the first one.
    """

    scopes: ClassVar[tuple[str, ...]] = (keytable.FORM, keytable.TABLE, keytable.ANYWHERE)
    columns: ClassVar[tuple[Column, ...]] = (Column("", 16), Column("", 28), Column("", 0))
    go_label: ClassVar[str] = "do it"

    def __init__(self, owner: WeirApp, about: tuple[Instance, ...] = ()) -> None:
        super().__init__(owner, about)
        self.values: dict[str, str] = {}
        self._wrong: dict[str, str] = {}

    # -- for subclasses -----------------------------------------------------------------------------
    def fields(self) -> Sequence[Field]:
        """The fields as they are now."""
        raise NotImplementedError

    def check(self, field: Field, value: str) -> str:
        """What is wrong with a value; empty when nothing is."""
        return ""

    def typing(self, field: Field, value: str) -> None:
        """A value is being typed: `hint` tells what is wrong with it so far."""
        self.hint(self.check(field, value) or field.help, Kind.BAD if self.check(field, value) else "dim")

    def given(self, field: Field) -> None:
        """A value was given."""

    def submit(self) -> None:
        """All is right: do it."""
        raise NotImplementedError

    # -- form ---------------------------------------------------------------------------------------
    def value(self, field: Field) -> str:
        """What was given, for a choice that was not made the first one."""
        given = self.values.get(field.id, "")
        known = [value for value, _ in field.choices]
        if field.choices and given not in known:
            return known[0]
        return given

    def rows(self) -> Rows:
        rows: Rows = {}
        for each in self.fields():
            wrong = self._wrong.get(each.id, "")
            remark: Piece = (self._seen(wrong), Kind.BAD) if wrong else (each.help, "dim")
            rows[each.id] = [(each.label, "key"), (self._shown(each), "plain"), remark]
        rows[DO] = [("", "plain"), (f"[ {self.go_label} ]", "title"), ("Enter here, or S anywhere", "dim")]
        return rows

    def mark_wrong(self, ident: str, why: str) -> None:
        """Say what is wrong with a field, or with empty `why` that nothing is."""
        self._wrong[ident] = why
        self.paint()

    def do_edit(self) -> None:
        field = self._field()
        if self.table.key == DO:
            self.do_submit()
        elif field is None:
            return
        elif field.choices:
            self.do_next()
        elif field.chosen:
            self.say("there is nothing to choose from", Kind.BAD)
        else:
            question = Question(
                f"{field.label}: ",
                lambda typed: self._take(field, typed),
                typed=lambda typed: self.typing(field, typed),
                secret=field.secret,
            )
            self.ask(question, "" if field.secret else self.values.get(field.id, ""))

    def do_next(self) -> None:
        self._choose(1)

    def do_previous(self) -> None:
        self._choose(-1)

    def do_submit(self) -> None:
        for field in self.fields():
            self._wrong[field.id] = self.check(field, self.value(field))
            if self._wrong[field.id]:
                self.table.move_to(self.table.keys.index(field.id))
                self.say(f"{field.label}: {self._wrong[field.id]}", Kind.BAD)
                self.paint()
                return
        self.submit()

    def _choose(self, by: int) -> None:
        field = self._field()
        if field is not None and field.choices:
            known = [value for value, _ in field.choices]
            self._take(field, known[(known.index(self.value(field)) + by) % len(known)])

    def _take(self, field: Field, value: str) -> None:
        self.values[field.id] = value
        self._wrong[field.id] = self.check(field, value)
        self.given(field)
        self.repaint()

    def _field(self) -> Field | None:
        return next((each for each in self.fields() if each.id == self.table.key), None)

    def _shown(self, field: Field) -> str:
        value = self.value(field)
        if field.secret:
            return "(given)" if value else ""
        return self._seen(dict(field.choices).get(value, value))

    def _seen(self, text: str) -> str:
        return visible(text, ascii_only=self.profile.ascii)
