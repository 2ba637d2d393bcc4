"""Types of teams (platform model §4): what a team of a kind may have."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, UnsetType
from msgspec import Meta as MsgMeta

from appliance.schema.common import Body, Meta, Page, Wire

Order = Annotated[int, MsgMeta(ge=-1_000_000, le=1_000_000)]


class TeamType(Wire):
    """`properties`: `users.limit`, `runtimes.limit`, `instances.<type id>.{active, limit, creatable}`, `features`;
    no limit, or -1, means none. `team_count` is for administrators."""

    id: str
    name: str
    active: bool
    order: int
    description: str = ""
    properties: dict[str, Any] = {}
    team_count: int | UnsetType = UNSET


class TeamTypes(Wire):
    meta: Meta
    count: int
    types: list[TeamType]


class TypesQuery(Page, kw_only=True):
    """`filter`: `active` (also when it is left out), `inactive` or `all`."""

    filter: str | None = None


class CreateTeamType(Body):
    name: str
    description: str = ""
    active: bool = True
    properties: dict[str, Any] = {}
    order: Order = 0


class ChangeTeamType(Body):
    """What is left out stays."""

    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    active: bool | UnsetType = UNSET
    properties: dict[str, Any] | UnsetType = UNSET
    order: Order | UnsetType = UNSET
