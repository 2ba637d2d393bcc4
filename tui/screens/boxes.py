"""The boxes that the user knows: from here to another one, with the same screens."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from appliance.schema.box import BoxStatus
from tui import boxes, keytable, platformkeys
from tui.address import Address
from tui.boxes import KnownBox
from tui.client import Client
from tui.errors import BoxError
from tui.render import Column, Piece
from tui.screens.asking import Asked, AskScreen, Done, Values, needed
from tui.screens.forms import Field
from tui.screens.objects import ObjectsScreen
from tui.signs import Kind


class BoxesScreen(ObjectsScreen[KnownBox]):
    """Kept in a file of the user's own. `:box NAME` goes there at once."""

    word = "box"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("BOX", 18),
        Column("WHERE", 0),
        Column("TOKEN", 0, spare=1),
        Column("", 4),
    )
    empty = "no other box is known; c adds one"
    scopes: ClassVar[tuple[str, ...]] = (platformkeys.BOXES, keytable.LINES, keytable.TABLE, keytable.ANYWHERE)

    def named(self, rest: str) -> None:
        self._go(rest)

    async def found(self) -> Iterable[tuple[str, KnownBox]]:
        if not self.profile.files:
            raise BoxError("boxes are known to people with an account of their own on this machine")
        read = boxes.read(os.environ)
        if read.mistakes:
            self.say(read.mistakes[0], Kind.BAD)
        return read.known.items()

    def rows(self) -> dict[str, list[Piece]]:
        here = self.owner.client.address.label
        return {
            name: [
                (name, "name"),
                (self.shown(each.url or each.home), "plain"),
                (self.shown(each.token_file or ("" if each.home else "none: WEIR_TOKEN is not used")), "dim"),
                ("here" if here in (each.url, str(Path(each.home) / "run" / "api.sock")) else "", "key"),
            ]
            for name, each in self.items.items()
        }

    def do_enter(self) -> None:
        if self.table.key is None:
            self.nobody()
        else:
            self._go(self.table.key)

    def _go(self, name: str) -> None:
        if not self.profile.files:
            self.say("boxes are known to people with an account of their own on this machine", Kind.BAD)
            return
        try:
            address = boxes.named(name, os.environ)
        except BoxError as error:
            self.refused(error)
            return
        self.say(f"asking {address.label}")
        work = self._switch(address)
        self.run_worker(work, exclusive=True, group="switch", exit_on_error=False, name="another box")

    async def _switch(self, address: Address) -> None:
        """These screens are left only for a box that answers."""
        try:
            client = Client(address)
            try:
                await client.get("/box/status", BoxStatus)
            finally:
                await client.close()
        except BoxError as error:
            self.refused(error, address.label)
            return
        self.owner.next_box = address
        self.owner.exit()

    def do_add(self) -> None:
        if not self.profile.files:
            return
        asked = [
            Asked(Field("name", "Name", "letters, digits, - and _"), needed("a name")),
            Asked(Field("url", "URL", "https://plant.example:8443"), _wrong_url),
            Asked(Field("token_file", "Token's file", "weir token create writes a token"), _wrong_file),
            Asked(Field("ca", "CA's file", "PEM; none for one that this machine trusts"), _wrong_file),
        ]
        self.owner.push_screen(AskScreen(self.owner, "another box", asked, self._add))

    async def _add(self, given: Values) -> Done:
        box = KnownBox(url=given["url"], token_file=given["token_file"], ca=given["ca"])
        boxes.address(box, os.environ)  # raises for what can never work
        boxes.add(os.environ, given["name"], box)
        return Done(f"{given['name']} is known; Enter goes there", self.refetch)

    def do_forget(self) -> None:
        if self.table.key is None:
            self.nobody()
            return
        name = self.table.key

        def go() -> None:
            try:
                boxes.forget(os.environ, name)
            except BoxError as error:
                self.refused(error)
                return
            self.say(f"{name} is forgotten")
            self.refetch()

        self.confirm(name, "to forget the box", go)


def _wrong_url(text: str) -> str:
    return "" if text.startswith(("https://", "http://")) else "begins with https://"


def _wrong_file(text: str) -> str:
    return "" if not text or Path(text).expanduser().is_file() else "there is no such file"
