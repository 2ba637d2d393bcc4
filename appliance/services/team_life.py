"""How teams come, change, are suspended and go."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import UNSET

from appliance.errors import Conflict, Forbidden, Invalid
from appliance.events import Event
from appliance.model import Desired, Role, Subject
from appliance.schema.instances import Instance
from appliance.schema.users import ChangeTeam, CountQuery, CreateTeam
from appliance.services import deleted, platform
from appliance.services.context import Context, Recorder
from appliance.services.first_run import slug as slug_of
from appliance.services.members import existing_team
from appliance.services.people import check_name, team_body, updates
from appliance.services.subjects import user_of
from appliance.services.team_types import limit
from appliance.store import instances, members, team_library, team_types, teams, users
from appliance.store.engine import Tx
from appliance.store.ids import new_id
from appliance.store.team_library import Shared
from appliance.store.team_types import TeamTypeRow
from appliance.store.teams import TeamRow
from appliance.store.users import UserRow

SLUG = re.compile(r"[a-z0-9_-]{1,64}", re.ASCII)
RESERVED = frozenset({"create"})
SLUG_ATTEMPTS = 1000
PROPERTIES_LENGTH = 64 * 1024
_ADMINS_ONLY = ("suspended", "properties", "features")


class TeamLife:
    """Whoever makes a team owns it. A suspended team's instances are suspended, its editors end, and nothing of it
    can be changed by its members."""

    def __init__(self, context: Context, audit: Recorder) -> None:
        self._context = context
        self._audit = audit

    async def check_slug(self, slug: str) -> None:
        """Return if a team could have it. Raises Conflict `invalid_slug`."""
        wanted = slug.strip().lower()
        taken = await self._context.store.read(lambda tx: teams.by_slug(tx, wanted) is not None)
        if taken or not _is_slug(wanted):
            raise Conflict(_slug_fault(wanted, taken=taken), code="invalid_slug", hint="Choose another.")

    async def create(self, subject: Subject, body: CreateTeam) -> str:
        """The id of a new team of the caller's.

        Raises Forbidden unless he is an administrator or the platform lets everybody make teams; Invalid:
        `invalid_request` (name), `invalid_slug`, `invalid_team_type`.
        """
        user_id, name, wanted = user_of(subject), body.name.strip(), body.slug.strip().lower()
        _check_team_name(name)

        def work(tx: Tx) -> str:
            if not subject.admin and not platform.stored(tx)["team:create"]:
                raise Forbidden("Only administrators make teams here.", hint="Ask one, or for the setting team:create.")
            kind = _type(tx, body.type, admin=subject.admin)
            slug = _chosen_slug(tx, wanted) if wanted else _free_slug(tx, slug_of(name))
            return self._add(tx, subject, name, slug, kind, user_id).id

        return await self._context.store.write(work)

    def own_team(self, tx: Tx, subject: Subject, owner: UserRow, type_id: str = "") -> TeamRow:
        """A team for a new person, inside a transaction; it becomes his default team."""
        kind = _type(tx, type_id, admin=True)
        slug = _free_slug(tx, slug_of(owner.username))
        team = self._add(tx, subject, f"Team {owner.name}"[:128], slug, kind, owner.id)
        current = users.get(tx, owner.id) or owner
        users.change(tx, msgspec.structs.replace(current, default_team_id=team.id), self._context.now_ms())
        return team

    async def change(self, subject: Subject, team_id: str, body: ChangeTeam) -> None:
        """What is left out stays.

        Raises NotFound, Invalid (`invalid_request`, `invalid_slug`, `invalid_team_type`), Forbidden `forbidden` for
        what only administrators may.
        """
        given = {key: value for key, value in msgspec.structs.asdict(body).items() if value is not UNSET}
        if not given:
            raise Invalid("Nothing to change is named.", hint="Send name, slug, type or suspended.")
        if any(key in given for key in _ADMINS_ONLY) and not (subject.admin and subject.team_ids is None):
            raise Forbidden("Only administrators of the box may change this.", code="forbidden", hint="Ask one.")
        if "suspended" in given and len(given) > 1:
            raise Invalid("A team is suspended by itself, without other changes.", hint="Send {suspended} alone.")
        if "name" in given:
            given["name"] = given["name"].strip()
            _check_team_name(given["name"])
        _check_properties(given)

        def work(tx: Tx) -> None:
            row = existing_team(tx, team_id)
            if "suspended" in given:
                self._suspend(tx, subject, row, given["suspended"])
            else:
                self._change(tx, subject, row, given)

        await self._context.store.write(work)

    async def remove(self, subject: Subject, team_id: str) -> None:
        """Drop the team with its applications; its library is kept in a file of the box.

        Raises NotFound, Invalid `unexpected_error` while it has instances, Unavailable when that file can't be written.
        """
        await self._keep_library(team_id)

        def work(tx: Tx) -> None:
            row = existing_team(tx, team_id)
            if row.instance_count:
                raise Invalid(
                    f"The team still has {row.instance_count} instances.",
                    code="unexpected_error",
                    hint="Delete them first.",
                )
            users.leave_team(tx, team_id)
            teams.remove(tx, team_id)
            tx.after_commit(Event("token.revoked", team_id))
            tx.after_commit(Event("team.removed", team_id))
            self._record_twice(tx, "deleted", subject, row)

        await self._context.store.write(work)

    async def _keep_library(self, team_id: str) -> None:
        def work(tx: Tx) -> tuple[TeamRow, list[Shared]]:
            row = existing_team(tx, team_id)
            return row, [] if row.instance_count else team_library.every(tx, team_id)

        row, entries = await self._context.store.read(work)
        if entries:
            directory, at = self._context.home.state / "deleted", self._context.now_ms()
            await asyncio.to_thread(deleted.keep_library, directory, row, entries, at)

    # Inside a transaction

    def _add(self, tx: Tx, subject: Subject, name: str, slug: str, kind: TeamTypeRow | None, owner_id: str) -> TeamRow:
        at = self._context.now_ms()
        team_id = new_id()
        teams.add(tx, team_id=team_id, name=name, slug=slug, at=at, type_id=kind.id if kind else None)
        teams.set_role(tx, team_id, owner_id, Role.OWNER)
        tx.after_commit(Event("token.revoked", owner_id, team_id))
        row = existing_team(tx, team_id)
        self._record_twice(tx, "created", subject, row)
        return row

    def _change(self, tx: Tx, subject: Subject, row: TeamRow, given: dict[str, Any]) -> None:
        fields: dict[str, Any] = {key: given[key] for key in ("name", "properties") if key in given}
        if "features" in given:
            properties = fields.get("properties", row.properties)
            fields["properties"] = {**properties, "features": given["features"]}
        if given.get("slug", row.slug).strip().lower() != row.slug:
            fields["slug"] = _chosen_slug(tx, given["slug"].strip().lower())
        if "type" in given and given["type"] != row.type_id:
            kind = _type(tx, given["type"], admin=subject.admin)
            _demand_fit(tx, row, kind)
            fields["type_id"] = kind.id if kind else None
        after = msgspec.structs.replace(row, **fields)
        changed = updates(_fields(row), _fields(after))
        if not changed:
            return
        teams.change(tx, after, self._context.now_ms())
        tx.after_commit(Event("token.revoked", row.id, row.id))
        event = "team.type.changed" if "type_id" in fields else "team.settings.updated"
        self._record(tx, event, subject, after, {"updates": changed})

    def _suspend(self, tx: Tx, subject: Subject, row: TeamRow, suspended: bool) -> None:
        if suspended is row.suspended:
            return
        at = self._context.now_ms()
        teams.change(tx, msgspec.structs.replace(row, suspended=suspended), at)
        if suspended:
            members.end_editors(tx, row.id)
            for instance in instances.of_teams(tx, [row.id]):
                if instance.desired not in (Desired.SUSPENDED, Desired.DELETING):
                    instances.wish(tx, instance.id, Desired.SUSPENDED, at=at, placed_anew=False, command=False)
                    self._suspended_with_team(tx, subject, row, instance.id, instance.name)
            for user_id in members.roles(tx, row.id):
                tx.after_commit(Event("token.revoked", user_id, row.id))
        tx.after_commit(Event("token.revoked", row.id, row.id))
        self._record_twice(tx, "suspended" if suspended else "unsuspended", subject, row)

    def _suspended_with_team(self, tx: Tx, subject: Subject, row: TeamRow, instance_id: str, name: str) -> None:
        self._audit.record(
            tx,
            "project.suspended",
            subject=subject,
            scope_type="project",
            scope_id=instance_id,
            team_id=row.id,
            instance_id=instance_id,
            body={"project": {"id": instance_id, "name": name}, "info": "the team was suspended"},
        )
        tx.after_commit(Event("token.revoked", instance_id, row.id))
        tx.after_commit(Event("instance.changed", instance_id, row.id))

    def _record_twice(self, tx: Tx, what: str, subject: Subject, row: TeamRow) -> None:
        """For the team's own log, and for that of the platform, which outlives the team."""
        self._record(tx, f"team.{what}", subject, row, {})
        body = {"team": team_body(row)}
        event = f"platform.team.{what}"
        self._audit.record(tx, event, subject=subject, scope_type="platform", scope_id=None, body=body)

    def _record(self, tx: Tx, event: str, subject: Subject, row: TeamRow, more: dict[str, Any]) -> None:
        body = {"team": team_body(row), **more}
        self._audit.record(tx, event, subject=subject, scope_type="team", scope_id=row.id, team_id=row.id, body=body)


def _type(tx: Tx, type_id: str, *, admin: bool) -> TeamTypeRow | None:
    """The type asked for, else the first. Raises Invalid `invalid_team_type`."""
    if not type_id:
        return team_types.default(tx)
    row = team_types.get(tx, type_id)
    if row is None or not (row.active or admin):
        raise Invalid(f"There is no type of teams '{type_id[:80]}'.", code="invalid_team_type", hint="Name another.")
    return row


def _demand_fit(tx: Tx, row: TeamRow, kind: TeamTypeRow | None) -> None:
    for path, has in ((("users", "limit"), row.member_count), (("runtimes", "limit"), row.instance_count)):
        most = limit(kind.properties, *path) if kind else None
        if most is not None and has > most:
            raise Invalid(
                f"The team has {has} {'members' if path[0] == 'users' else 'instances'}, the type allows {most}.",
                code="invalid_team_type",
                hint="Remove some first.",
            )


def _chosen_slug(tx: Tx, wanted: str) -> str:
    taken = teams.by_slug(tx, wanted) is not None
    if taken or not _is_slug(wanted):
        raise Invalid(_slug_fault(wanted, taken=taken), code="invalid_slug", hint="Choose another.")
    return wanted


def _free_slug(tx: Tx, base: str) -> str:
    for number in range(SLUG_ATTEMPTS):
        slug = base if number == 0 else f"{base[:58]}-{number}"
        if teams.by_slug(tx, slug) is None:
            return slug
    raise Invalid("Too many teams have this name.", code="invalid_slug", hint="Choose another name.")


def _is_slug(wanted: str) -> bool:
    return SLUG.fullmatch(wanted) is not None and wanted not in RESERVED


def _slug_fault(wanted: str, *, taken: bool) -> str:
    if taken:
        return f"Another team has the slug '{wanted[:64]}'."
    return f"'{wanted[:64]}' is not a slug: 1 to 64 of a-z 0-9 _ and -, but not 'create'."


def _check_team_name(name: str) -> None:
    if not name:
        raise Invalid("A team needs a name.", hint="Give one.")
    check_name(name)


def _check_properties(given: dict[str, Any]) -> None:
    for key in ("properties", "features"):
        if key in given and len(msgspec.json.encode(given[key])) > PROPERTIES_LENGTH:
            raise Invalid(f"'{key}' has more than {PROPERTIES_LENGTH} bytes.", hint="Shorten it.")


def _fields(row: TeamRow) -> dict[str, object]:
    return {"name": row.name, "slug": row.slug, "type": row.type_id, "properties": row.properties}


def count_states(shown: Iterable[Instance], query: CountQuery) -> dict[str, int]:
    """How many of these instances show each state; only what the query names, and then also those that nobody shows."""
    found = dict.fromkeys(query.state, 0)
    for each in shown:
        if query.application_id not in (None, each.application.id):
            continue
        if query.instance_type not in (None, each.project_type.id):
            continue
        if not query.state or each.meta.state in query.state:
            found[each.meta.state] = found.get(each.meta.state, 0) + 1
    return found
