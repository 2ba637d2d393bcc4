"""Who did what to an instance, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from appliance.schema.audit import AuditEntry, AuditPage
from appliance.schema.instances import Instance
from tui.errors import BoxError
from tui.render import Column
from tui.screens.lists import FetchedScreen
from tui.screens.page import Page
from tui.text import parse_time, visible
from tui.widgets.table import Rows

if TYPE_CHECKING:
    from tui.app import WeirApp

PAGE = 100


class HistoryScreen(Page, FetchedScreen):
    """The audit log; older entries are fetched at its end."""

    word = "history"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("TIME", 14),
        Column("WHO", 12),
        Column("EVENT", 26),
        Column("ABOUT", 0),
    )
    empty = "nothing is recorded yet"

    def __init__(self, owner: WeirApp, about: tuple[Instance, ...] = ()) -> None:
        super().__init__(owner, about)
        self._log: dict[str, AuditEntry] = {}
        self._older: str | None = None
        self._fetching_older = False

    async def fetch(self) -> None:
        found = await self._page()
        if not self.fetched:
            self._older = found.meta.next_cursor
        self._log = {each.id: each for each in found.log} | self._log

    async def _page(self, cursor: str | None = None) -> AuditPage:
        query = {"limit": str(PAGE)} | ({"cursor": cursor} if cursor else {})
        return await self.owner.client.get(f"/projects/{self.instance.id}/audit-log", AuditPage, query)

    def heard(self, kind: str, ident: str) -> None:
        if ident == self.instance.id and kind != "instance.resources":
            self.refetch()

    def rows(self) -> Rows:
        flat = self.profile.ascii
        return {
            ident: [
                (_time(each.created_at), "dim"),
                (visible(each.trigger.name or each.trigger.type, ascii_only=flat), "name"),
                (visible(each.event, ascii_only=flat), "plain"),
                (visible(about(each.body), ascii_only=flat), "plain"),
            ]
            for ident, each in self._log.items()
        }

    def details(self) -> list[tuple[str, str]]:
        each = self._log.get(self.table.key or "")
        if each is None:
            return []
        body = msgspec.json.format(msgspec.json.encode(each.body)).decode()
        told = [("time", each.created_at), ("who", each.trigger.name or each.trigger.type), ("event", each.event)]
        return [*told, ("by", each.source or ""), ("about", body)]

    def on_table_moved(self) -> None:
        super().on_table_moved()
        if self._older and not self._fetching_older and self.table.key in self.table.keys[-1:]:
            self._fetching_older = True
            self.run_worker(self._fetch_older(self._older), exit_on_error=False, name="older audit")

    async def _fetch_older(self, cursor: str) -> None:
        try:
            found = await self._page(cursor)
        except BoxError as error:
            self.refused(error)
        else:
            self._older = found.meta.next_cursor
            self._log |= {each.id: each for each in found.log}
            self.repaint()
        finally:
            self._fetching_older = False


def about(body: dict[str, Any]) -> str:
    """The names in a body, in a few words."""
    named = [str(value["name"]) for value in body.values() if isinstance(value, dict) and value.get("name")]
    plain = [f"{key}={value}" for key, value in body.items() if isinstance(value, str | int)]
    return ", ".join([*named, *plain])


def _time(text: str) -> str:
    found = parse_time(text)
    return f"{found.astimezone():%m-%d %H:%M:%S}" if found is not None else text[:14]
