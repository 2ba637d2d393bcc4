"""Teams, roles and applications."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from appliance.errors import Forbidden, Invalid, NotFound
from appliance.events import Event
from appliance.model import Role, Subject
from appliance.schema.common import Links, Page
from appliance.schema.users import Application, Applications, CreateApplication, Team, TeamSummary, TeamUser
from appliance.schema.users import Teams as TeamPage
from appliance.services import listing
from appliance.services.context import Context, Recorder
from appliance.services.people import avatar, team_summary
from appliance.services.team_types import shown_type
from appliance.store import snapshots, team_types, teams
from appliance.store.engine import Tx
from appliance.store.ids import new_id
from appliance.store.paging import Found
from appliance.store.team_types import TeamTypeRow
from appliance.store.teams import ApplicationRow, TeamRow
from appliance.store.values import iso

K = TypeVar("K")
V = TypeVar("V")

NAME_LENGTH = 128
DESCRIPTION_LENGTH = 4096
CACHE_LIMIT = 10_000


class Teams:
    """Answers who may do what where; roles and owners are cached until an event says that they changed."""

    def __init__(self, context: Context, audit: Recorder) -> None:
        self._context = context
        self._audit = audit
        self._roles: OrderedDict[tuple[str, str], Role] = OrderedDict()
        self._owners: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._changes = 0
        context.bus.listen(self._hear)

    async def team(self, team_id: str) -> Team:
        """Raises NotFound."""
        return await self._one(lambda tx: teams.get(tx, team_id))

    async def by_slug(self, slug: str) -> Team:
        """Raises NotFound."""
        return await self._one(lambda tx: teams.by_slug(tx, slug))

    async def seen(self, team_id: str, subject: Subject) -> Team | TeamSummary:
        """The team; those who may use its dashboards only get no more than its name. Raises NotFound."""
        if await self.role(team_id, subject) >= Role.VIEWER:
            return await self.team(team_id)
        row = await self._context.store.read(lambda tx: teams.get(tx, team_id))
        if row is None:
            raise NotFound("There is no such team.")
        return team_summary(row, self._context.base_url())

    async def teams(self, page: Page) -> TeamPage:
        """All teams of the box, oldest first unless sorted. Raises Invalid for a foreign cursor."""
        asked = listing.want(page)

        def work(tx: Tx) -> tuple[Found, dict[str, TeamTypeRow]]:
            return teams.page(tx, asked), _types(tx)

        found, types = await self._context.store.read(work)
        shown = [self._shown(teams.of(row), types) for row in found.rows]
        return TeamPage(meta=listing.meta(found, asked), count=len(shown), teams=shown)

    async def suspended(self, team_id: str) -> bool:
        """Whether nothing of the team may be changed by its members."""
        row = await self._context.store.read(lambda tx: teams.get(tx, team_id))
        return row is not None and row.suspended

    async def role(self, team_id: str, subject: Subject) -> Role:
        """What the subject is in this team: ADMIN for administrators, NONE for strangers and for instances."""
        if subject.team_ids is not None and team_id not in subject.team_ids:
            return Role.NONE
        if subject.admin:
            return Role.ADMIN
        return await self._membership(team_id, subject)

    async def role_on(self, kind: str, thing: str, subject: Subject) -> Role:
        """What the subject is in the team of a thing; NONE when it is not there."""
        team_id = await self.team_of(kind, thing)
        return Role.NONE if team_id is None else await self.role(team_id, subject)

    async def team_user(self, team_id: str, subject: Subject) -> TeamUser:
        """The caller's own role: his membership's, else ADMIN for an administrator. Raises NotFound for strangers."""
        role = await self._membership(team_id, subject) or await self.role(team_id, subject)
        if role is Role.NONE:
            raise NotFound("There is no such team.")
        return TeamUser(role=int(role))

    async def team_of(self, kind: str, thing: str) -> str | None:
        """The team that an `instance`, `snapshot`, `application` or `team` belongs to; None when it is not there."""
        key = (kind, thing)
        if (known := self._owners.get(key)) is not None:
            return known
        before = self._changes
        found = await self._context.store.read(lambda tx: _team_of(tx, kind, thing))
        if found is not None and before == self._changes:
            _keep(self._owners, key, found)
        return found

    async def applications(self, team_id: str) -> Applications:
        """The applications of a team, oldest first."""
        rows = await self._context.store.read(lambda tx: teams.applications_of(tx, team_id))
        shown = [self._application(row) for row in rows]
        return Applications(count=len(shown), applications=shown)

    async def application(self, application_id: str) -> Application:
        """Raises NotFound."""

        def work(tx: Tx) -> tuple[ApplicationRow | None, TeamRow | None]:
            row = teams.application(tx, application_id)
            return row, teams.get(tx, row.team_id) if row else None

        row, team = await self._context.store.read(work)
        if row is None:
            raise NotFound("There is no such application.")
        return self._application(row, team)

    async def default_application(self, subject: Subject) -> str:
        """The application that a new instance goes to when none is named: the oldest in which the subject may.

        Raises Invalid `invalid_application` when there is none.
        """
        row = await self._context.store.read(lambda tx: _default_application(tx, subject))
        if row is None:
            raise Invalid(
                "There is no application in which you may create instances.",
                code="invalid_application",
                hint="Create an application first, or ask an owner of the team.",
            )
        return row.id

    async def create_application(self, subject: Subject, body: CreateApplication) -> Application:
        """Raises Invalid for a bad name, NotFound for the team."""
        name = body.name.strip()
        if not (name and name.isprintable()) or len(name) > NAME_LENGTH or len(body.description) > DESCRIPTION_LENGTH:
            raise Invalid(
                f"An application needs a name of at most {NAME_LENGTH} printable characters "
                f"and a description of at most {DESCRIPTION_LENGTH}.",
                code="invalid_application_name",
                hint="Choose another name.",
            )
        now = self._context.now_ms()
        new = ApplicationRow(new_id(), body.team_id, name, body.description, now, now)
        team = await self._context.store.write(lambda tx: self._add_application(tx, subject, new))
        return self._application(new, team)

    async def _membership(self, team_id: str, subject: Subject) -> Role:
        if subject.kind != "user" or subject.user_id is None:
            return Role.NONE
        key = (team_id, subject.user_id)
        if (known := self._roles.get(key)) is not None:
            return known
        before = self._changes
        found = await self._context.store.read(lambda tx: teams.role(tx, *key))
        if before == self._changes:
            _keep(self._roles, key, found)
        return found

    def _hear(self, event: Event) -> None:
        if event.kind in ("instance.state", "audit"):
            return
        self._changes += 1
        for cache in (self._roles, self._owners):
            for key in [key for key in cache if event.key in key]:
                del cache[key]

    def _add_application(self, tx: Tx, subject: Subject, new: ApplicationRow) -> TeamRow:
        team = teams.get(tx, new.team_id)
        if team is None:
            raise NotFound("There is no such team.")
        if team.suspended:
            raise Forbidden("The team is suspended.", hint="Ask an administrator of this box.")
        teams.add_application(tx, new)
        self._audit.record(
            tx,
            "application.created",
            subject=subject,
            scope_type="application",
            scope_id=new.id,
            team_id=new.team_id,
            body={"application": {"id": new.id, "name": new.name}},
        )
        return team

    async def _one(self, find: Callable[[Tx], TeamRow | None]) -> Team:
        row, types = await self._context.store.read(lambda tx: (find(tx), _types(tx)))
        if row is None:
            raise NotFound("There is no such team.")
        return self._shown(row, types)

    def _shown(self, row: TeamRow, types: dict[str, TeamTypeRow]) -> Team:
        kind = types.get(row.type_id or "")
        base_url = self._context.base_url()
        return Team(
            id=row.id,
            name=row.name,
            slug=row.slug,
            avatar=avatar(row.name, base_url),
            suspended=row.suspended,
            links=Links(self=f"{base_url}/api/v1/teams/{row.id}"),
            instance_count=row.instance_count,
            member_count=row.member_count,
            device_count=0,
            created_at=iso(row.created_at),
            updated_at=iso(row.updated_at),
            properties=row.properties,
            type=shown_type(kind) if kind else None,
        )

    def _application(self, row: ApplicationRow, team: TeamRow | None = None) -> Application:
        base_url = self._context.base_url()
        return Application(
            id=row.id,
            name=row.name,
            description=row.description,
            links=Links(self=f"{base_url}/api/v1/applications/{row.id}"),
            created_at=iso(row.created_at),
            updated_at=iso(row.updated_at),
            team=None if team is None else {"id": team.id, "name": team.name, "slug": team.slug},
        )


def _types(tx: Tx) -> dict[str, TeamTypeRow]:
    return {row.id: row for row in team_types.every(tx)}


def _team_of(tx: Tx, kind: str, thing: str) -> str | None:
    if kind == "team":
        row = teams.get(tx, thing)
        return row.id if row else None
    if kind == "snapshot":
        return snapshots.team_of(tx, thing)
    if kind in ("instance", "application"):
        return teams.team_of(tx, kind, thing)
    raise ValueError(f"nothing of kind {kind} belongs to a team")


def _default_application(tx: Tx, subject: Subject) -> ApplicationRow | None:
    mine = teams.applications_owned(tx, subject.user_id) if subject.user_id else []
    allowed = [row for row in mine if subject.team_ids is None or row.team_id in subject.team_ids]
    if allowed:
        return allowed[0]
    return teams.oldest_application(tx) if subject.admin and subject.team_ids is None else None


def _keep(cache: OrderedDict[K, V], key: K, value: V) -> None:
    cache[key] = value
    while len(cache) > CACHE_LIMIT:
        cache.popitem(last=False)
