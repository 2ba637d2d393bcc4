"""What the platform allows: the settings of administrators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from appliance.schema.instances import Instance
from tui import keytable, platformkeys
from tui.cli.platform import WORDS
from tui.render import Column, Piece
from tui.screens.lists import FetchedScreen
from tui.screens.prompt import Question
from tui.signs import Kind
from tui.text import visible
from tui.widgets.table import Rows

if TYPE_CHECKING:
    from tui.app import WeirApp

HELP = {
    "user:signup": "people may make accounts for themselves",
    "user:tcs-required": "people agree to terms before they begin",
    "user:tcs-url": "where the terms are",
    "branding:account:signUpTopBanner": "a line above the page for signing up",
    "branding:account:signUpLeftBanner": "a text beside the page for signing up",
    "team:create": "users who are no administrators may make teams",
    "user:team:auto-create": "each new user gets a team of his own",
    "user:team:auto-create:teamType": "of this type",
}


class PlatformScreen(FetchedScreen):
    """One line each; Enter changes it. Those that stand still on a box without mail or licence are shown dimly."""

    word = "platform"
    columns: ClassVar[tuple[Column, ...]] = (Column("SETTING", 36), Column("VALUE", 12), Column("", 0))
    scopes: ClassVar[tuple[str, ...]] = (platformkeys.PLATFORM, keytable.LINES, keytable.TABLE, keytable.ANYWHERE)

    def __init__(self, owner: WeirApp, about: tuple[Instance, ...] = ()) -> None:
        super().__init__(owner, about)
        self._found: dict[str, Any] = {}

    async def fetch(self) -> None:
        found = await self.owner.client.get("/settings", dict)
        self._found = {key: found[key] for key in sorted(found, key=_first_what_changes) if ":" in key}

    def rows(self) -> Rows:
        rows: Rows = {}
        for key, value in self._found.items():
            changes = key in HELP
            rows[key] = [
                (visible(key, ascii_only=self.profile.ascii), "name" if changes else "dim"),
                (visible(shown(value), ascii_only=self.profile.ascii), "plain" if changes else "dim"),
                (HELP.get(key, "stands still on this box"), "dim"),
            ]
        return rows

    def details(self) -> list[tuple[str, str]]:
        key = self.table.key or ""
        return [("setting", key), ("value", shown(self._found.get(key))), ("means", HELP.get(key, "stands still"))]

    def subject(self) -> list[Piece]:
        said = super().subject()
        return said or [(HELP.get(self.table.key or "", ""), "dim")]

    def do_set(self) -> None:
        key = self.table.key
        if key is None:
            return
        if key not in HELP:
            self.say(f"{key} stands still on this box; weir settings set {key}=… says why", Kind.BAD)
            return
        value = self._found[key]
        switch = isinstance(value, bool)
        words = ("on", "off") if switch else ("default",)

        def answer(typed: str) -> None:
            if typed:
                self._set(key, typed, switch=switch)

        question = Question(
            f"{key}{' (on, off)' if switch else ' (default: none)'}=",
            answer,
            offers=lambda typed: [word for word in words if word.startswith(typed)],
        )
        self.ask(question, "" if switch or value is None else str(value))

    def _set(self, key: str, typed: str, *, switch: bool) -> None:
        known = WORDS if switch else {"default": None}
        value = known.get(typed.lower(), typed)
        work = self.owner.client.put("/settings", {key: value})
        self.attempt(work, done=f"{key} is {shown(value)}", then=self.refetch)


def shown(value: Any) -> str:
    """A setting as people type it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return "-" if value is None or value == "" else str(value)


def _first_what_changes(key: str) -> tuple[bool, str]:
    return (key not in HELP, key)
