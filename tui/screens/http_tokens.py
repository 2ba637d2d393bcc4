"""Tokens with which programs use the HTTP endpoints of an instance's flows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from appliance.schema.endpoints import HttpToken, HttpTokenCreated, HttpTokens
from tui import keytable, platformkeys
from tui.render import Column, Piece
from tui.screens.asking import Asked, AskScreen, Done, Values, needed
from tui.screens.details import Fact
from tui.screens.forms import Field
from tui.screens.objects import ObjectsScreen
from tui.screens.secret import SecretScreen
from tui.screens.tokens import milliseconds, wrong_end
from tui.wire import decode


class HttpTokensScreen(ObjectsScreen[HttpToken]):
    """A token is shown once, when it is made; it opens the endpoints of this instance and nothing of the box."""

    word = "httptokens"
    columns: ClassVar[tuple[Column, ...]] = (Column("NAME", 0), Column("ENDS", 16))
    empty = "no HTTP tokens; c makes one"
    scopes: ClassVar[tuple[str, ...]] = (platformkeys.HTTP_TOKENS, keytable.LINES, keytable.TABLE, keytable.ANYWHERE)

    @property
    def path(self) -> str:
        """Where the box keeps them."""
        return f"/projects/{self.about[0].id}/httpTokens"

    def label(self) -> str:
        return f"{self.about[0].name} {self.word}"

    async def found(self) -> Iterable[tuple[str, HttpToken]]:
        return [(each.id, each) for each in (await self.owner.client.get(self.path, HttpTokens)).tokens]

    def cells(self, each: HttpToken) -> list[Piece]:
        ends = (each.expires_at or "never")[:16].replace("T", " ")
        return [(self.shown(each.name), "name"), (self.shown(ends), "dim")]

    def do_create(self) -> None:
        self._open(None)

    def do_edit(self) -> None:
        if (each := self.picked()) is not None:
            self._open(each)

    def _open(self, token: HttpToken | None) -> None:
        asked = [
            Asked(Field("name", "Name", "the program that uses it"), needed("a name")),
            Asked(Field("expires", "Ends", "30d, 12h, 2027-01-31, or never"), wrong_end),
        ]
        before = {"name": token.name, "expires": token.expires_at or "never"} if token else {"expires": "never"}

        async def send(given: Values) -> Done:
            return await self._send(token, given, before)

        title = f"HTTP token {token.name}" if token else "new HTTP token"
        self.owner.push_screen(AskScreen(self.owner, title, asked, send, values=before))

    async def _send(self, token: HttpToken | None, given: Values, before: Values) -> Done:
        client = self.owner.client
        wanted: dict[str, Any] = {"name": given["name"], "expiresAt": milliseconds(given["expires"])}
        if token is None:
            made = decode(await client.post(self.path, wanted), HttpTokenCreated)
            return Done(f"{made.name} is made", lambda: self._tell(made))
        if given["expires"] == before["expires"]:
            wanted.pop("expiresAt")
        await client.put(f"{self.path}/{token.id}", wanted)
        return Done(f"{given['name']} is changed")

    def _tell(self, made: HttpTokenCreated) -> None:
        facts: list[Fact] = [
            ("name", made.name),
            ("token", made.token, "title"),
            ("sent as", "Authorization: Bearer and the token"),
        ]
        self.owner.push_screen(SecretScreen(self.owner, facts, title="a new HTTP token"))

    def do_remove(self) -> None:
        if (each := self.picked()) is None:
            return
        self.delete(
            f"{self.path}/{each.id}",
            name=each.name,
            what="to refuse programs that use it",
            done=f"{each.name} has ended; the instance notices within half a minute",
        )
