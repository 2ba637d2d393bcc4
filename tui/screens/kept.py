"""Deploys of an instance that were made while Weir was away and could not be stored: restored or discarded here."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import ClassVar
from urllib.parse import quote

from appliance.schema.deploys import KeptDeploy, KeptDeploys
from tui import keytable, platformkeys
from tui.render import Column, Piece
from tui.screens.details import DetailsScreen, Fact
from tui.screens.objects import ObjectsScreen
from tui.text import age, size


class KeptScreen(ObjectsScreen[KeptDeploy]):
    """What is restored takes the place of the flows, which are kept here instead."""

    word = "kept"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("NAME", 26),
        Column("MADE", 5, right=True),
        Column("BY", 12),
        Column("WHY IT WAS NOT STORED", 0),
    )
    empty = "nothing is kept: every deploy is stored"
    scopes: ClassVar[tuple[str, ...]] = (platformkeys.KEPT, keytable.LINES, keytable.TABLE, keytable.ANYWHERE)

    def label(self) -> str:
        return f"{self.about[0].name} {self.word}"

    async def found(self) -> Iterable[tuple[str, KeptDeploy]]:
        listed = await self.owner.client.get(f"/projects/{self.about[0].id}/kept", KeptDeploys)
        return [(each.id, each) for each in listed.kept]

    def cells(self, each: KeptDeploy) -> list[Piece]:
        return [
            (self.shown(each.name), "name"),
            (age(each.made_at, datetime.now(UTC)), "plain"),
            (self.shown(each.username or "unknown"), "plain"),
            (self.shown(each.message), "dim"),
        ]

    def do_show(self) -> None:
        if (each := self.picked()) is None:
            return
        facts: list[Fact] = [
            ("name", each.name),
            ("made", each.made_at),
            ("by", each.username or "unknown"),
            ("kept", each.kept_at),
            ("why", each.message),
            ("size", size(each.bytes) if each.bytes else "in the file that is named above"),
            ("id", each.id),
        ]
        self.owner.push_screen(DetailsScreen(self.owner, facts, title=each.name))

    def do_restore(self) -> None:
        if (each := self.picked()) is None:
            return

        def go() -> None:
            said = f"{self.about[0].name} gets the flows of {each.name}, and restarts"
            self.change(self.owner.client.post(f"{self._path(each)}/restore"), said)

        self.confirm(each.name, "to make it the flows and restart", go)

    def do_discard(self) -> None:
        if (each := self.picked()) is None:
            return
        self.delete(self._path(each), name=each.name, what="to forget it for good", done=f"{each.name} is gone")

    def _path(self, each: KeptDeploy) -> str:
        return f"/projects/{self.about[0].id}/kept/{quote(each.id, safe='')}"
