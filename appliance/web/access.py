"""May this subject do that: the route's permission, asked on the thing that the request names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from appliance.auth.permissions import OF_EDITORS, PERMISSIONS, Permission, demand, demand_scope
from appliance.errors import Forbidden, NotFound
from appliance.model import Role, Subject

if TYPE_CHECKING:
    from appliance.web.route import Route
    from appliance.web.services import Services


class Access:
    """Answers for one box. What a subject may not even see is answered as if it were not there."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def check(self, route: Route, subject: Subject, params: dict[str, str]) -> dict[str, str]:
        """The path parameters with names resolved to ids. Raises Forbidden or NotFound."""
        if route.permission is None:
            return params
        permission = PERMISSIONS[route.permission]
        # Before anything is looked up: a token for other purposes must not find out what there is.
        demand_scope(permission, subject)
        if route.on == "none":
            _demand_on_box(permission, subject)
        if route.on == "user":
            # Before anything is looked up, and without: what others are called is nobody's business.
            params = _oneself(subject, params)
            _demand_on_box(permission, subject, own=params["id"] == subject.user_id)
        if route.on in ("none", "user", "body", "query"):
            return params
        if route.auth == "library" and subject.kind != "user":
            await self._demand_of_editor(permission, params["id"], subject)
            return params
        kind, thing, params = await self._named(route, subject, params)
        own = subject.user_id is not None and params.get("user") == subject.user_id
        await self._demand(permission, kind, thing, subject, own=own)
        return params

    async def check_body(self, route: Route, subject: Subject, body: Any) -> Any:
        """The same for routes that name the team or application in the body, which is returned.

        A missing application is filled in with the first one in which the subject may do this.
        """
        permission = PERMISSIONS[str(route.permission)]
        if (owner_id := getattr(body, "owner_id", None)) is not None:
            await self._demand(permission, "instance", owner_id, subject)
            return body
        if (team_id := getattr(body, "team_id", None)) is not None:
            await self._demand(permission, "team", team_id, subject)
            return body
        if body.application_id is None:
            body = msgspec.structs.replace(body, application_id=await self._services.teams.default_application(subject))
        await self._demand(permission, "application", body.application_id, subject)
        return body

    async def check_again(self, permission: str, instance_id: str, subject: Subject) -> None:
        """Whether what was begun on an instance may go on. Raises Forbidden or NotFound."""
        await self._demand(PERMISSIONS[permission], "instance", instance_id, subject)

    async def check_query(self, route: Route, subject: Subject, query: Any) -> None:
        """The same for routes that name the team in the query."""
        await self._demand(PERMISSIONS[str(route.permission)], "team", query.team, subject)

    async def _demand(
        self, permission: Permission, kind: str, thing: str, subject: Subject, *, own: bool = False
    ) -> None:
        """Return if the subject may do this to a thing of a team; NotFound when it is not there or not to be seen."""
        teams = self._services.teams
        team_id = await teams.team_of(kind, thing)
        role = await teams.role(team_id, subject) if team_id is not None else Role.NONE
        if team_id is None or role is Role.NONE or not _within(subject, team_id, kind, thing):
            raise _absent(kind)
        demand(permission, subject, role, own=own)
        if not permission.read and not subject.admin and await teams.suspended(team_id):
            raise _suspended()

    async def _demand_of_editor(self, permission: Permission, team_id: str, subject: Subject) -> None:
        """Return if Node-RED may do this to the library of its own team; no other team is there for it."""
        if subject.team_id != team_id:
            raise _absent("team")
        if permission.name not in OF_EDITORS:
            raise Forbidden(
                f"Node-RED may not do '{permission.name}'", hint="Members of the team may: weir library --help"
            )
        if not permission.read and await self._services.teams.suspended(team_id):
            raise _suspended()

    async def _named(self, route: Route, subject: Subject, params: dict[str, str]) -> tuple[str, str, dict[str, str]]:
        if route.on == "instance_name":
            found = await self._services.instances.find(params["id"], subject)
            return "instance", found, {**params, "id": found}
        if route.on == "team_slug":
            try:
                team = await self._services.teams.by_slug(params["slug"])
            except NotFound as error:
                raise _absent("team") from error
            return "team", team.id, {**params, "id": team.id}
        return route.on, params["id"], params


def _suspended() -> Forbidden:
    return Forbidden("The team is suspended.", code="forbidden", hint="Ask an administrator of this box.")


def _absent(kind: str) -> NotFound:
    """One sentence for what is not there and for what may not be seen."""
    return NotFound(f"there is no such {kind}")


def _demand_on_box(permission: Permission, subject: Subject, *, own: bool | None = None) -> None:
    """Permissions on the box as a whole; an administrator's token is no administrator's where it is narrowed to teams,
    or is his editor's."""
    whole = subject.team_ids is None and subject.instance_id is None
    asking = subject if whole else msgspec.structs.replace(subject, admin=False)
    role = Role.ADMIN if asking.admin else Role.NONE
    demand(permission, asking, role, own=permission.own if own is None else own)


def _oneself(subject: Subject, params: dict[str, str]) -> dict[str, str]:
    """Everybody knows what he is called himself."""
    own = subject.user_id is not None and params["id"].lower() == subject.username.lower()
    return {**params, "id": str(subject.user_id)} if own else params


def _within(subject: Subject, team_id: str, kind: str, thing: str) -> bool:
    """Tokens that are narrowed to teams or to one instance see nothing outside."""
    if subject.team_ids is not None and team_id not in subject.team_ids:
        return False
    if subject.instance_id is None:
        return True
    return thing == subject.instance_id if kind == "instance" else team_id == subject.team_id
