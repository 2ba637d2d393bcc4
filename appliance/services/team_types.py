"""Types of teams: what teams of a kind may have, and the limits that follow."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from appliance.errors import Conflict, Invalid, NotFound
from appliance.model import Subject
from appliance.schema import team_types as wire
from appliance.services import listing
from appliance.services.context import Context, Recorder
from appliance.services.people import check_name, updates
from appliance.store import members, team_types
from appliance.store.engine import Tx
from appliance.store.ids import new_id
from appliance.store.team_types import TeamTypeRow

DESCRIPTION_LENGTH = 4096
PROPERTIES_LENGTH = 64 * 1024


class TeamTypes:
    """The kinds of teams of this box; administrators make them."""

    def __init__(self, context: Context, audit: Recorder) -> None:
        self._context = context
        self._audit = audit

    async def page(self, subject: Subject, query: wire.TypesQuery) -> wire.TeamTypes:
        """Active ones unless `filter` says otherwise. Raises Invalid for a foreign cursor or filter."""
        shown = query.filter or "active"
        if shown not in team_types.SHOWN:
            raise Invalid(f"There is no filter '{shown[:40]}'.", hint=f"Use one of: {', '.join(team_types.SHOWN)}.")
        asked = listing.want(query)
        found = await self._context.store.read(lambda tx: team_types.page(tx, asked, shown=shown))
        types = [shown_type(team_types.type_of(row), counted=subject.admin) for row in found.rows]
        return wire.TeamTypes(meta=listing.meta(found, asked), count=len(types), types=types)

    async def get(self, subject: Subject, type_id: str) -> wire.TeamType:
        """Raises NotFound."""
        row = await self._context.store.read(lambda tx: _get(tx, type_id))
        return shown_type(row, counted=subject.admin)

    async def create(self, subject: Subject, body: wire.CreateTeamType) -> wire.TeamType:
        """Raises Invalid for a bad or taken name and for limits that are none."""
        new = TeamTypeRow(
            id=new_id(),
            name=body.name.strip(),
            active=body.active,
            position=body.order,
            description=body.description,
            properties=body.properties,
            created_at=self._context.now_ms(),
        )
        _check(new)

        def work(tx: Tx) -> None:
            team_types.add(tx, new)
            self._record(tx, "platform.team-type.created", subject, new, {})

        await self._write(work, new)
        return shown_type(new, counted=True)

    async def change(self, subject: Subject, type_id: str, body: wire.ChangeTeamType) -> wire.TeamType:
        """What is left out stays. Raises NotFound, Invalid."""
        given = {key: value for key, value in msgspec.structs.asdict(body).items() if value is not UNSET}
        if "order" in given:
            given["position"] = given.pop("order")
        if "name" in given:
            given["name"] = given["name"].strip()
        before = await self._context.store.read(lambda tx: _get(tx, type_id))
        _check(msgspec.structs.replace(before, **given))

        def work(tx: Tx) -> TeamTypeRow:
            row = _get(tx, type_id)
            after = msgspec.structs.replace(row, **given)
            team_types.change(tx, after)
            changed = updates(_fields(row), _fields(after))
            if changed:
                self._record(tx, "platform.team-type.updated", subject, after, {"updates": changed})
            return after

        return shown_type(await self._write(work, before), counted=True)

    async def remove(self, subject: Subject, type_id: str) -> None:
        """Raises NotFound, Invalid `unexpected_error` while teams are of it, and for the last."""

        def work(tx: Tx) -> None:
            row = _get(tx, type_id)
            if row.team_count:
                raise Invalid(
                    f"{row.team_count} teams are of the type '{row.name}'.",
                    code="unexpected_error",
                    hint="Give them another type first.",
                )
            if len(team_types.every(tx)) == 1:
                raise Invalid("The last type of teams stays.", code="unexpected_error", hint="Make another first.")
            team_types.remove(tx, type_id)
            self._record(tx, "platform.team-type.deleted", subject, row, {})

        await self._context.store.write(work)

    async def _write(self, work: Any, row: TeamTypeRow) -> Any:
        try:
            return await self._context.store.write(work)
        except Conflict as error:
            raise Invalid(
                f"There is already a type of teams with this name: '{row.name}'.",
                code="unexpected_error",
                hint="Choose another name.",
            ) from error

    def _record(self, tx: Tx, event: str, subject: Subject, row: TeamTypeRow, more: dict[str, Any]) -> None:
        body = {"teamType": {"id": row.id, "name": row.name}, **more}
        self._audit.record(tx, event, subject=subject, scope_type="platform", scope_id=None, body=body)


def shown_type(row: TeamTypeRow, *, counted: bool = False) -> wire.TeamType:
    """The type on the wire; how many teams are of it is told to administrators."""
    return wire.TeamType(
        id=row.id,
        name=row.name,
        active=row.active,
        order=row.position,
        description=row.description,
        properties=row.properties,
        team_count=row.team_count if counted else UNSET,
    )


def limit(properties: dict[str, Any], *path: str) -> int | None:
    """A limit in the properties of a type, by the way to it; None where there is none (absent, or below zero)."""
    found: Any = properties
    for step in path:
        found = found.get(step) if isinstance(found, dict) else None
    return found if type(found) is int and found >= 0 else None


def check_room(tx: Tx, team_id: str, type_id: str | None, *, further: int = 1) -> None:
    """Raises Invalid `member_limit_reached` unless so many more people may belong to the team."""
    row = team_types.get(tx, type_id) if type_id else None
    most = limit(row.properties, "users", "limit") if row else None
    if row is not None and most is not None and members.count(tx, team_id) + further > most:
        raise Invalid(
            f"A team of the type '{row.name}' has at most {most} members.",
            code="member_limit_reached",
            hint="Remove somebody, or ask an administrator for another type of team.",
        )


def _get(tx: Tx, type_id: str) -> TeamTypeRow:
    row = team_types.get(tx, type_id)
    if row is None:
        raise NotFound("There is no such type of teams.")
    return row


def _fields(row: TeamTypeRow) -> dict[str, object]:
    return {name: getattr(row, name) for name in ("name", "active", "position", "description", "properties")}


def _check(row: TeamTypeRow) -> None:
    if not row.name:
        raise Invalid("A type of teams needs a name.", hint="Give one.")
    check_name(row.name)
    if len(row.description) > DESCRIPTION_LENGTH:
        raise Invalid(f"A description has at most {DESCRIPTION_LENGTH} characters.", hint="Shorten it.")
    if len(msgspec.json.encode(row.properties)) > PROPERTIES_LENGTH:
        raise Invalid(f"The properties have at most {PROPERTIES_LENGTH} bytes.", hint="Shorten them.")
    for path in (("users", "limit"), ("runtimes", "limit"), ("devices", "limit")):
        _check_limit(row.properties, path)
    kinds = row.properties.get("instances", {})
    if not isinstance(kinds, dict):
        raise _no_object("instances")
    for kind in kinds:
        _check_limit(kinds, (kind, "limit"))


def _check_limit(properties: dict[str, Any], path: tuple[str, str]) -> None:
    group = properties.get(path[0], {})
    if not isinstance(group, dict):
        raise _no_object(path[0])
    value = group.get(path[1])
    if value is not None and type(value) is not int:
        raise Invalid(f"The limit of '{path[0][:80]}' is not a whole number.", hint="Use -1 or leave it out for none.")


def _no_object(name: str) -> Invalid:
    return Invalid(f"'{name[:80]}' in the properties is not an object.", hint="See the team types of the API.")
