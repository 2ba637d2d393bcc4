"""Environment variables of an instance; hidden ones are written and never read again."""

from __future__ import annotations

from typing import Any, ClassVar

from appliance.schema.instances import ChangedInstance
from tui import keytable
from tui.errors import BoxError
from tui.render import Column, Piece
from tui.screens.editor import EditorScreen
from tui.screens.lists import ListScreen
from tui.screens.page import SCOPES, Page
from tui.screens.prompt import Question
from tui.signs import Kind
from tui.text import visible
from tui.widgets.table import Rows
from tui.wire import decode

Variable = dict[str, Any]
HIDDEN = "(hidden)"


class EnvScreen(Page, ListScreen):
    """Each change is written at once, and in force from the next start."""

    word = "env"
    scopes: ClassVar[tuple[str, ...]] = (keytable.ENV, *SCOPES)
    columns: ClassVar[tuple[Column, ...]] = (Column("NAME", 24), Column("VALUE", 0), Column("", 16))
    empty = "no variables; a adds one"

    @property
    def variables(self) -> dict[str, Variable]:
        """All of them by name, in their order."""
        return {str(each["name"]): each for each in self.instance.settings.get("env") or []}

    def rows(self) -> Rows:
        flat = self.profile.ascii
        return {
            name: [
                (visible(name, ascii_only=flat), "dim" if each.get("platform") else "name"),
                (HIDDEN if each.get("hidden") else visible(str(each.get("value", "")), ascii_only=flat), "plain"),
                (_mark(each), "dim"),
            ]
            for name, each in self.variables.items()
        }

    def subject(self) -> list[Piece]:
        each = self.variables.get(self.table.key or "", {})
        return [("the platform sets it at every start", "dim")] if each.get("platform") else []

    def details(self) -> list[tuple[str, str]]:
        each = self.variables.get(self.table.key or "", {})
        value = HIDDEN if each.get("hidden") else str(each.get("value", ""))
        return [("name", str(each.get("name", ""))), ("value", value), ("", _mark(each))]

    def do_add(self) -> None:
        self.ask(Question("NAME=VALUE: ", self._add, verbatim=True))

    def _add(self, typed: str) -> None:
        name, equals, value = typed.partition("=")
        name = name.strip()
        if not (name.isidentifier() and name.isascii()) or not equals:
            # Never in a message: what was meant as a name may be a value.
            self.say("that is no variable: letters, digits and _, no digit first, then = and the value", Kind.BAD)
        else:
            self._put(name, {**self.variables.get(name, {}), "name": name, "value": value}, f"{name} is set")

    def do_edit(self) -> None:
        each = self._own()
        if each is None:
            return
        name, hidden = str(each["name"]), bool(each.get("hidden"))
        value = "" if hidden else str(each.get("value", ""))
        if "\n" in value:
            self.owner.push_screen(
                EditorScreen(self.owner, value, f"{name} of {self.instance.name}", self._setter(name))
            )
            return
        sign = f"new hidden value of {name}: " if hidden else f"{name}="
        self.ask(Question(sign, self._setter(name), secret=hidden, verbatim=True), value)

    def _setter(self, name: str) -> Any:
        def write(value: str) -> None:
            self._put(name, {**self.variables.get(name, {}), "name": name, "value": value}, f"{name} is changed")

        return write

    def do_hide(self) -> None:
        each = self._own()
        if each is None:
            return
        name = str(each["name"])
        if not each.get("hidden"):
            self._put(name, {**each, "hidden": True}, f"the value of {name} is hidden from now on")
            return

        def show(value: str) -> None:
            self._put(name, {**each, "hidden": False, "value": value}, f"{name} is shown from now on")

        self.ask(Question(f"what is hidden stays so; new value of {name}, to be shown: ", show, verbatim=True))

    def do_unset(self) -> None:
        each = self._own()
        if each is not None:
            name = str(each["name"])
            self.confirm(name, "to take the variable away", lambda: self._put(name, None, f"{name} is gone"))

    def _own(self) -> Variable | None:
        """The variable at the cursor, unless it is the platform's, which is said."""
        each = self.variables.get(self.table.key or "")
        if each is not None and each.get("platform"):
            self.say("the platform sets this one at every start", Kind.BAD)
            return None
        return each

    def _put(self, name: str, changed: Variable | None, done: str) -> None:
        own = {key: each for key, each in self.variables.items() if not each.get("platform")}
        if changed is None:
            own.pop(name, None)
        else:
            own[name] = changed
        self.run_worker(self._write(list(own.values()), done), exit_on_error=False, name="write environment")

    async def _write(self, env: list[Variable], done: str) -> None:
        try:
            body = {"settings": {"env": env}}
            changed = decode(await self.owner.client.put(f"/projects/{self.instance.id}", body), ChangedInstance)
        except BoxError as error:
            self.refused(error)
            return
        self.say(f"{done}, in force from the next start (r)" if changed.note else done)


def _mark(each: Variable) -> str:
    words = {"hidden": "hidden", "platform": "by the platform", "deprecated": "old name"}
    marks = [word for key, word in words.items() if each.get(key)]
    return ", ".join([*marks, *(["locked"] if each.get("policy") is False else [])])
