"""May this subject do that: the route's permission, asked on the thing that the request names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from appliance.auth.permissions import PERMISSIONS, Permission, demand, demand_scope
from appliance.errors import NotFound
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
        if route.on in ("none", "body"):
            return params
        kind, thing, params = await self._named(route, subject, params)
        role = await self.role(kind, thing, subject)
        demand(permission, subject, role)
        return params

    async def check_body(self, route: Route, subject: Subject, body: Any) -> Any:
        """The same for routes that name the team or application in the body, which is returned.

        A missing application is filled in with the first one in which the subject may do this.
        """
        permission = PERMISSIONS[str(route.permission)]
        if (team_id := getattr(body, "team_id", None)) is not None:
            demand(permission, subject, await self.role("team", team_id, subject))
            return body
        if body.application_id is None:
            body = msgspec.structs.replace(body, application_id=await self._services.teams.default_application(subject))
        demand(permission, subject, await self.role("application", body.application_id, subject))
        return body

    async def role(self, kind: str, thing: str, subject: Subject) -> Role:
        """The subject's role in the team of a thing; NotFound when it is not there or not to be seen."""
        teams = self._services.teams
        team_id = await teams.team_of(kind, thing)
        role = await teams.role(team_id, subject) if team_id is not None else Role.NONE
        if team_id is None or role is Role.NONE or not _within(subject, team_id, kind, thing):
            raise _absent(kind)
        return role

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


def _absent(kind: str) -> NotFound:
    """One sentence for what is not there and for what may not be seen."""
    return NotFound(f"there is no such {kind}")


def _demand_on_box(permission: Permission, subject: Subject) -> None:
    """Permissions on the box as a whole; an administrator's token that is narrowed to teams is no administrator's."""
    if subject.team_ids is not None:
        subject = msgspec.structs.replace(subject, admin=False)
    demand(permission, subject, Role.ADMIN if subject.admin else Role.NONE, own=permission.own)


def _within(subject: Subject, team_id: str, kind: str, thing: str) -> bool:
    """Tokens that are narrowed to teams or to one instance see nothing outside."""
    if subject.team_ids is not None and team_id not in subject.team_ids:
        return False
    if subject.instance_id is None:
        return True
    return thing == subject.instance_id if kind == "instance" else team_id == subject.team_id
