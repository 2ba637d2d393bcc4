"""Public keys with which somebody logs in over SSH: the user's own, or another one's for administrators."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from appliance.schema.instances import Instance
from appliance.schema.ssh import SshKey, SshKeys
from appliance.schema.users import User
from tui import keytable, platformkeys
from tui.render import Column, Piece
from tui.screens.asking import Asked, AskScreen, Done, Values
from tui.screens.details import DetailsScreen, Fact
from tui.screens.forms import Field
from tui.screens.objects import ObjectsScreen
from tui.wire import decode

if TYPE_CHECKING:
    from tui.app import WeirApp


class SshKeysScreen(ObjectsScreen[SshKey]):
    """Without `user` those of whoever is at the screens."""

    word = "sshkeys"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("NAME", 18),
        Column("TYPE", 12),
        Column("FINGERPRINT", 0),
        Column("USED", 16),
    )
    empty = "no keys; c adds one"
    scopes: ClassVar[tuple[str, ...]] = (platformkeys.SSH_KEYS, keytable.LINES, keytable.TABLE, keytable.ANYWHERE)

    def __init__(self, owner: WeirApp, about: tuple[Instance, ...] = (), *, user: User | None = None) -> None:
        super().__init__(owner, about)
        self._user = user

    @property
    def path(self) -> str:
        """Where the box keeps them."""
        return f"/users/{self._user.id}/ssh-keys" if self._user else "/user/ssh-keys"

    def label(self) -> str:
        return f"{self._user.username} {self.word}" if self._user else self.word

    async def found(self) -> Iterable[tuple[str, SshKey]]:
        return [(each.id, each) for each in (await self.owner.client.get(self.path, SshKeys)).keys]

    def cells(self, each: SshKey) -> list[Piece]:
        return [
            (self.shown(each.name), "name"),
            (each.type.removeprefix("ecdsa-sha2-"), "plain"),
            (each.fingerprint, "dim"),
            (_moment(each.used_at), "dim"),
        ]

    def do_show(self) -> None:
        if (each := self.picked()) is None:
            return
        facts: list[Fact] = [
            ("name", each.name),
            ("type", each.type),
            ("print", each.fingerprint),
            ("added", _moment(each.created_at)),
            ("used", _moment(each.used_at)),
            ("id", each.id),
        ]
        self.owner.push_screen(DetailsScreen(self.owner, facts, title=each.name))

    def do_create(self) -> None:
        asked = [
            Asked(Field("key", "Public key", "the line of the .pub file, pasted"), _wrong),
            Asked(Field("name", "Name", "empty: the comment of the key")),
        ]

        async def send(given: Values) -> Done:
            made = decode(await self.owner.client.post(self.path, given), SshKey)
            return Done(f"{made.name} is kept, and opens these screens from now on")

        self.owner.push_screen(AskScreen(self.owner, "new key", asked, send))

    def do_remove(self) -> None:
        if (each := self.picked()) is None:
            return
        self.delete(
            f"{self.path}/{each.id}",
            name=each.name,
            what="to take the key back",
            done=f"{each.name} opens nothing any more; logins made with it have ended",
        )


def _wrong(text: str) -> str:
    """Only what must not even be sent; the box says the rest."""
    if "PRIVATE KEY" in text:
        return "this is a private key; give the public one"
    return "" if text.strip() else "a public key is needed"


def _moment(at: str | None) -> str:
    return (at or "never")[:16].replace("T", " ")
