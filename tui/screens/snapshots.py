"""Snapshots of an instance: keep, compare, put back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from appliance.schema.instances import Instance
from appliance.schema.snapshots import Snapshot, Snapshots
from tui import keytable
from tui.errors import BoxError
from tui.flowdiff import Change, Side, diff
from tui.render import Column, Piece
from tui.screens.lists import FetchedScreen
from tui.screens.page import SCOPES, Page
from tui.screens.prompt import Question
from tui.sides import of_instance, of_snapshot
from tui.signs import Kind
from tui.text import age, size, visible
from tui.widgets.table import Rows

if TYPE_CHECKING:
    from tui.app import WeirApp

LOOKS = {"added": ("+", Kind.UP), "removed": ("-", Kind.BAD), "changed": ("~", Kind.CHANGING), "moved": (".", "dim")}


class SnapshotsScreen(Page, FetchedScreen):
    """Newest first; a rollback keeps what the instance was as a snapshot of its own."""

    word = "snap"
    scopes: ClassVar[tuple[str, ...]] = (keytable.SNAPSHOTS, *SCOPES)
    columns: ClassVar[tuple[Column, ...]] = (
        Column("NAME", 0),
        Column("AGE", 4, right=True),
        Column("BY", 12),
        Column("SIZE", 8, right=True, spare=2),
        Column("", 9, spare=1),
        Column("DESCRIPTION", 0),
    )
    empty = "no snapshots yet; c keeps what the instance is now"
    marking = True

    def __init__(self, owner: WeirApp, about: tuple[Instance, ...] = ()) -> None:
        super().__init__(owner, about)
        self._found: list[Snapshot] = []

    async def fetch(self) -> None:
        path = f"/projects/{self.instance.id}/snapshots"
        self._found = (await self.owner.client.get(path, Snapshots)).snapshots

    def heard(self, kind: str, ident: str) -> None:
        if kind == "instance.changed" and ident == self.instance.id:
            self.refetch()

    def rows(self) -> Rows:
        now, flat = datetime.now(UTC), self.profile.ascii
        return {
            each.id: [
                (visible(each.name, ascii_only=flat), "name"),
                (age(each.created_at, now), "plain"),
                (visible(each.user.username if each.user else self.profile.dash, ascii_only=flat), "plain"),
                (size(each.bytes), "plain"),
                ("automatic" if each.automatic else "", "dim"),
                (visible(each.description, ascii_only=flat), "dim"),
            ]
            for each in self._found
        }

    @property
    def chosen(self) -> Snapshot | None:
        """The snapshot at the cursor."""
        return next((each for each in self._found if each.id == self.table.key), None)

    def details(self) -> list[tuple[str, str]]:
        each = self.chosen
        modules = "  ".join(f"{name} {version}" for name, version in each.modules.items()) if each else ""
        return [*super().details(), ("modules", modules), ("made", each.created_at), ("id", each.id)] if each else []

    def do_snapshot(self) -> None:
        suggested = f"{datetime.now(UTC).astimezone():%Y-%m-%d %H:%M}"
        self.ask(Question("name of the snapshot: ", self._keep), suggested)

    def _keep(self, name: str) -> None:
        path = f"/projects/{self.instance.id}/snapshots"
        self.attempt(self.owner.client.post(path, {"name": name}), done=f"{name} is kept", then=self.refetch)

    def do_restore(self) -> None:
        each, instance = self.chosen, self.instance
        if each is None:
            return

        def go() -> None:
            done = f"{instance.name} becomes what it was in {each.name}; what it was is kept"
            path = f"/projects/{instance.id}/actions/rollback"
            self.attempt(self.owner.client.post(path, {"snapshot": each.id}), done=done, then=self.refetch)

        self.confirm(each.name, f"to put it back into {instance.name}, which restarts", go)

    def do_remove(self) -> None:
        each = self.chosen
        if each is None:
            return

        def go() -> None:
            path = f"/snapshots/{quote(each.id, safe='')}"
            self.attempt(self.owner.client.delete(path), done=f"{each.name} is deleted", then=self.refetch)

        self.confirm(each.name, "to delete it for good", go)

    def do_diff(self) -> None:
        chosen = self.chosen
        marked = [each for each in self._found if each.id in self.table.marked]
        if len(marked) > 2:
            self.say("mark one or two of them", Kind.BAD)
        elif chosen is not None:
            ends = [*marked, *([chosen] if len(marked) == 1 and chosen not in marked else [])] or [chosen]
            ends.sort(key=self._found.index, reverse=True)  # the box lists the newest first
            self.owner.push_screen(DiffScreen(self.owner, self.about, ends))


class DiffScreen(FetchedScreen):
    """What changed from a snapshot to another one, or to what the instance is now: the same as `weir snapshot diff`."""

    columns: ClassVar[tuple[Column, ...]] = (Column("", 1), Column("WHAT", 0), Column("WHERE", 20, spare=1))
    empty = "nothing changed"

    def __init__(self, owner: WeirApp, about: tuple[Instance, ...], ends: Sequence[Snapshot]) -> None:
        super().__init__(owner, about)
        self._ends = ends
        self._changes: list[Change] = []

    def label(self) -> str:
        return "diff"

    def head(self) -> list[Piece]:
        flat = self.profile.ascii
        old = visible(self._ends[0].name, ascii_only=flat)
        new = visible(self._ends[1].name, ascii_only=flat) if len(self._ends) > 1 else "now"
        name = visible(self.about[0].name, ascii_only=flat)
        return [(name, "title"), (": from ", "plain"), (old, "name"), (" to ", "plain"), (new, "name")]

    def where(self) -> list[Piece]:
        counts = {how: sum(each.how == how for each in self._changes) for how in LOOKS}
        told = [f"{count} {how}" for how, count in counts.items() if count]
        return [("inst > snap > ", "dim"), ("diff", "head"), ("  " + ", ".join(told), "dim")]

    async def fetch(self) -> None:
        sides = [await self._side(each) for each in self._ends]
        if len(sides) == 1:
            sides.append(await self._present())
        self._changes = diff(sides[0], sides[1])

    async def _side(self, each: Snapshot) -> Side:
        path = f"/snapshots/{quote(each.id, safe='')}/full"
        return of_snapshot(await self.owner.client.get(path, dict[str, Any]))

    async def _present(self) -> Side:
        instance = self.current
        if instance is None:
            raise BoxError("the instance is not there any more")
        found = await self.owner.client.get(f"/instances/{instance.id}/flows", dict[str, Any])
        return of_instance(found["flows"], instance.settings)

    def rows(self) -> Rows:
        rows: Rows = {}
        for number, each in enumerate(self._changes):
            sign, style = LOOKS[each.how]
            rows[f"{number}"] = [(sign, style), (self._line(each), style), (self._seen(each.where), "dim")]
            if each.how == "changed" and each.kind != "variable":
                for at, (name, was, now) in enumerate(each.properties):
                    rows[f"{number}.{at}"] = [
                        ("", "plain"),
                        (self._seen(f"    {name}: {was} > {now}"), "plain"),
                        ("", "plain"),
                    ]
        return rows

    def details(self) -> list[tuple[str, str]]:
        each = self._changes[int((self.table.key or "0").partition(".")[0])]
        told = [("what", f"{each.kind} {each.name}"), ("how", each.how), ("where", each.where), ("id", each.id)]
        for name, was, now in each.properties:
            told += [(name, f"{was}\n{now}")]
        return [pair for pair in told if pair[1]]

    def _line(self, each: Change) -> str:
        if each.kind == "variable" and each.properties:
            _, was, now = each.properties[0]
            return self._seen(f"variable {each.name}: {was} > {now}")
        return self._seen(f"{each.kind} {each.name}")

    def _seen(self, text: str) -> str:
        return visible(text, ascii_only=self.profile.ascii)
