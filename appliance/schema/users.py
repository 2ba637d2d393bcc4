"""Users, teams and applications (platform model §4)."""

from __future__ import annotations

from typing import Any

from appliance.schema.common import Body, Links, Meta, Wire


class UserSummary(Wire):
    id: str
    username: str
    name: str
    avatar: str
    admin: bool
    created_at: str
    suspended: bool


class User(Wire, rename=None):
    """The reference mixes spellings here: `email_verified` beside `createdAt`."""

    id: str
    username: str
    name: str
    email: str
    email_verified: bool
    avatar: str
    admin: bool
    createdAt: str  # noqa: N815
    suspended: bool
    defaultTeam: str | None = None  # noqa: N815
    password_expired: bool = False


class UserTeam(Wire):
    """One of `/user/teams`."""

    id: str
    name: str
    slug: str
    avatar: str
    suspended: bool
    links: Links
    role: int
    instance_count: int
    member_count: int
    device_count: int = 0


class UserTeams(Wire):
    meta: Meta
    count: int
    teams: list[UserTeam]


class Team(Wire):
    id: str
    name: str
    slug: str
    avatar: str
    suspended: bool
    links: Links
    instance_count: int
    member_count: int
    device_count: int
    created_at: str
    updated_at: str
    properties: dict[str, Any] = {}


class Teams(Wire):
    meta: Meta
    count: int
    teams: list[Team]


class TeamUser(Wire):
    """`GET /teams/:id/user`: the caller's role in the team."""

    role: int
    permissions: dict[str, Any] = {}


class ApplicationSummary(Wire):
    id: str
    name: str
    description: str
    links: Links


class Application(ApplicationSummary):
    created_at: str
    updated_at: str
    team: dict[str, Any] | None = None


class Applications(Wire):
    count: int
    applications: list[Application]


class CreateApplication(Body):
    name: str
    team_id: str
    description: str = ""


class TokenTeam(Wire):
    """A team that a token is narrowed to."""

    id: str
    name: str


class TokenCreated(Wire):
    """A personal access token: `token` is shown this once. `teams` is empty where it is not narrowed to some."""

    id: str
    name: str
    token: str
    expires_at: str | None = None
    read_only: bool = False
    admin_opt_in: bool = False
    teams: list[TokenTeam] = []


class CreateToken(Body):
    """`POST /user/tokens`. `expires_at` is milliseconds since the epoch; without `team_ids` all teams."""

    name: str = ""
    scope: str = ""
    expires_at: int | None = None
    read_only: bool = False
    admin_opt_in: bool = False
    team_ids: list[str] | None = None
