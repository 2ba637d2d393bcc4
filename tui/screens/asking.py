"""A form whose fields are data: for what is made or changed in one request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from tui.errors import BoxError
from tui.screens.forms import Field, FormScreen

if TYPE_CHECKING:
    from tui.app import WeirApp

Values = dict[str, str]
Check = Callable[[str], str]


class Asked(Struct, frozen=True):
    """A field and what is wrong with a value of it: a sentence, empty when nothing is."""

    field: Field
    check: Check | None = None


class Done(Struct, frozen=True):
    """What became of a form: what to say, and what to do once it is closed."""

    said: str
    then: Callable[[], None] | None = None


Send = Callable[[Values], Awaitable[Done]]


class AskScreen(FormScreen):
    """`send` is given every field's value and asks the box. The form closes when the box agrees; else it says why not
    and keeps what was typed."""

    def __init__(
        self,
        owner: WeirApp,
        title: str,
        asked: Sequence[Asked],
        send: Send,
        *,
        values: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(owner)
        self.values.update(values or {})
        self._title = title
        self._asked = {each.field.id: each for each in asked}
        self._send = send
        self._sending = False

    def label(self) -> str:
        return self._title

    def fields(self) -> Sequence[Field]:
        return [each.field for each in self._asked.values()]

    def check(self, field: Field, value: str) -> str:
        wrong = self._asked[field.id].check
        return wrong(value) if wrong else ""

    def submit(self) -> None:
        if not self._sending:
            self._sending = True
            values = {each.id: self.value(each) for each in self.fields()}
            self.run_worker(self._submit(values), exit_on_error=False, name=self._title)

    async def _submit(self, values: Values) -> None:
        try:
            done = await self._send(values)
        except BoxError as error:
            self.refused(error)
            return
        finally:
            self._sending = False
        if self.owner.screen is self:
            self.owner.back()
        self.owner.frame.say(done.said)
        if done.then is not None:
            done.then()


def needed(what: str) -> Check:
    """The check of a field that has to be filled in."""
    return lambda value: "" if value.strip() else f"{what} is needed"


SWITCH = (("off", "no"), ("on", "yes"))
