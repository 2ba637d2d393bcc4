"""The types of teams: what teams of a kind may have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from msgspec import UNSET

from appliance.schema.instances import InstanceType, InstanceTypes
from appliance.schema.team_types import TeamType, TeamTypes
from tui import keytable, platformkeys
from tui.errors import BoxError
from tui.render import Column, Piece
from tui.screens.asking import Asked, AskScreen, Done, Values
from tui.screens.catalogue import LONGEST, KindsScreen, asked_of_each
from tui.screens.details import Fact
from tui.screens.forms import Field

MEMBERS = "users"
ALL_INSTANCES = "runtimes"
NO_LIMIT = ""


class TeamTypesScreen(KindsScreen[TeamType]):
    """All of them, in the order in which people see them; the limits hold for what is made from now on."""

    word = "teamtypes"
    path = "/team-types"
    noun = "type of teams"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("NAME", 18),
        Column("DESCRIPTION", 0),
        Column("TEAMS", 5, right=True),
        Column("MEMBERS", 7, right=True),
        Column("INST", 4, right=True),
        Column("", 9),
    )
    empty = "no types of teams; c makes one"
    scopes: ClassVar[tuple[str, ...]] = (platformkeys.TEAM_TYPES, keytable.LINES, keytable.TABLE, keytable.ANYWHERE)

    async def found(self) -> Iterable[tuple[str, TeamType]]:
        listed = await self.owner.client.get(f"{self.path}?filter=all", TeamTypes)
        return [(each.id, each) for each in listed.types]

    def cells(self, each: TeamType) -> list[Piece]:
        return [
            (self.shown(each.name), "name"),
            (self.shown(each.description), "dim"),
            ("" if each.team_count is UNSET else str(each.team_count), "plain"),
            (limit(each.properties, MEMBERS) or self.profile.dash, "plain"),
            (limit(each.properties, ALL_INSTANCES) or self.profile.dash, "plain"),
            self.offered(each),
        ]

    def subject(self) -> list[Piece]:
        return super().subject() or [("MEMBERS and INST: how many a team of the type may have", "dim")]

    def own_facts(self, each: TeamType) -> list[Fact]:
        return [
            ("members", limit(each.properties, MEMBERS) or "as many as come"),
            ("instances", limit(each.properties, ALL_INSTANCES) or "as many as the box bears"),
        ]

    async def open_form(self, each: TeamType | None) -> None:
        try:
            types = (await self.owner.client.get("/project-types?filter=all", InstanceTypes)).types
        except BoxError as error:
            self.refused(error)
            return
        before = _values(each, types)

        async def send(given: Values) -> Done:
            return await self._send(each, given, before)

        title = f"type {each.name}" if each else "new type of teams"
        self.owner.push_screen(AskScreen(self.owner, title, _asked(types), send, values=before))

    async def _send(self, each: TeamType | None, given: Values, before: Values) -> Done:
        body: dict[str, Any] = {key: given[key] for key in ("name", "description") if given[key] != before.get(key)}
        if given["order"] != before["order"]:
            body["order"] = int(given["order"])
        known = each.properties if each else {}
        wanted = with_limits(known, {key[6:]: value for key, value in given.items() if key.startswith("limit ")})
        if wanted != known:
            body["properties"] = wanted
        return await self.saved(each, body)


def limit(properties: Mapping[str, Any], *path: str) -> str:
    """How many of that a team may have, as people type it; empty where there is no limit."""
    found: Any = properties
    for step in (*path, "limit"):
        found = found.get(step) if isinstance(found, dict) else None
    return str(found) if type(found) is int and found >= 0 else NO_LIMIT


def with_limits(properties: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    """The properties with these limits; all else in them stays. A type of instances is named by its id.

    Once a type of instances has a limit, those that have none are named too: a type of teams that names some allows
    no others.
    """
    after: dict[str, Any] = dict(properties)
    for key in (MEMBERS, ALL_INSTANCES):
        _limited(after, key, given.get(key, NO_LIMIT))
    named: dict[str, Any] = dict(after.get("instances") or {})
    by_type = {key: value for key, value in given.items() if key not in (MEMBERS, ALL_INSTANCES)}
    some = bool(named)
    if some or any(by_type.values()):
        for ident, value in by_type.items():
            if ident not in named and (value or not some):
                named[ident] = {"active": True}
            if ident in named:
                _limited(named, ident, value)
        after["instances"] = named
    return after


def _limited(into: dict[str, Any], key: str, value: str) -> None:
    rest = {name: each for name, each in dict(into.get(key) or {}).items() if name != "limit"}
    if value:
        into[key] = rest | {"limit": int(value)}
    elif key in into:
        into[key] = rest


def _values(each: TeamType | None, types: Iterable[InstanceType]) -> Values:
    """What the form begins with."""
    if each is None:
        return {"order": "0"}
    found = {"name": each.name, "description": each.description, "order": str(each.order)}
    found |= {f"limit {key}": limit(each.properties, key) for key in (MEMBERS, ALL_INSTANCES)}
    return found | {f"limit {one.id}": limit(each.properties, "instances", one.id) for one in types}


def _asked(types: Iterable[InstanceType]) -> list[Asked]:
    return [
        *asked_of_each(),
        Asked(Field(f"limit {MEMBERS}", "Members", "at most; empty: no limit"), _wrong_limit),
        Asked(Field(f"limit {ALL_INSTANCES}", "Instances", "at most; empty: no limit"), _wrong_limit),
        *(
            Asked(Field(f"limit {one.id}", f"of type {one.name}", "at most; empty: no limit"), _wrong_limit)
            for one in types
        ),
    ]


def _wrong_limit(text: str) -> str:
    fits = not text or (text.isascii() and text.isdecimal() and len(text) <= LONGEST)
    return "" if fits else "a whole number, or nothing"
