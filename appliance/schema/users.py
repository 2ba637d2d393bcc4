"""Users, teams and applications (platform model §4)."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, UnsetType

from appliance.schema.common import Body, Links, Meta, Wire
from appliance.schema.team_types import TeamType


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
    tcs_accepted: str | None = None


class Users(Wire):
    meta: Meta
    count: int
    users: list[User]


class ChangeOwnUser(Body, rename=None):
    """`PUT /user`: what is left out stays."""

    name: str | UnsetType = UNSET
    username: str | UnsetType = UNSET
    email: str | UnsetType = UNSET
    tcs_accepted: bool | UnsetType = UNSET
    defaultTeam: str | UnsetType = UNSET  # noqa: N815


class ChangeUser(ChangeOwnUser):
    """`PUT /users/:id`; all but those of `PUT /user` need an administrator."""

    email_verified: bool | UnsetType = UNSET
    admin: bool | UnsetType = UNSET
    password_expired: bool | UnsetType = UNSET
    suspended: bool | UnsetType = UNSET
    mfa_enabled: bool | UnsetType = UNSET


class CreateUser(Body):
    """`POST /users`. Without an e-mail address one of this box is made up."""

    name: str
    username: str
    password: str
    email: str = ""
    is_admin: bool = False
    create_default_team: bool = False


class ChangePassword(Body, rename=None):
    old_password: str
    password: str


class NewPassword(Body):
    """`POST /account/reset_password/:token`."""

    password: str


class ForgotPassword(Body):
    email: str


class GivenToken(Body):
    """A code that was sent to a person."""

    token: str


class Register(Body):
    """`POST /account/register`."""

    username: str
    password: str
    name: str
    email: str
    code: str = ""


class Recovery(Wire):
    """What lets somebody set a new password, once: his `token`, until when, and where he gives it."""

    user: UserSummary
    token: str
    expires_at: str
    url: str


class UserTeamType(Wire):
    id: str
    name: str
    active: bool


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
    type: UserTeamType | None = None


class UserTeams(Wire):
    """`GET /user/teams`."""

    meta: Meta
    count: int
    teams: list[UserTeam]


class OwnPermissions(Wire):
    """`GET /user/permissions`: what the credential allows, for clients that offer only what will be answered.

    `permissions`: the lowest role by name; `teams`: the caller's role by team id. `admin` may everything listed.
    """

    admin: bool
    permissions: dict[str, int]
    teams: dict[str, int]


class TeamSummary(Wire):
    """What those see of their team who may use its dashboards only."""

    id: str
    name: str
    slug: str
    avatar: str
    suspended: bool
    links: Links


class Team(TeamSummary):
    """A team with what it has. Parts of the platform that Weir has not are counted as none."""

    instance_count: int
    member_count: int
    device_count: int
    created_at: str
    updated_at: str
    properties: dict[str, Any] = {}
    type: TeamType | None = None
    broker_count: int = 0
    team_broker_clients_count: int = 0


class Teams(Wire):
    meta: Meta
    count: int
    teams: list[Team]


class CreateTeam(Body):
    """`POST /teams`. Without `slug` one is made of the name; without `type` (the reference needs it) the first."""

    name: str
    type: str = ""
    slug: str = ""


class ChangeTeam(Body):
    """`PUT /teams/:id`: what is left out stays. `suspended` goes alone, and only an administrator may."""

    name: str | UnsetType = UNSET
    slug: str | UnsetType = UNSET
    type: str | UnsetType = UNSET
    suspended: bool | UnsetType = UNSET
    properties: dict[str, Any] | UnsetType = UNSET
    features: dict[str, Any] | UnsetType = UNSET


class CheckSlug(Body):
    slug: str


class CountQuery(Wire):
    """`GET /teams/:id/instance-counts`."""

    instance_type: str | None = None
    state: list[str] = []
    application_id: str | None = None


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


class TokenSummary(Wire):
    """A personal access token without its secret."""

    id: str
    name: str
    expires_at: str | None = None
    read_only: bool = False
    admin_opt_in: bool = False
    teams: list[TokenTeam] = []


class TokenList(Wire):
    count: int
    tokens: list[TokenSummary]


class ChangeToken(Body):
    """`PUT /user/tokens/:id`: what is left out stays; `expiresAt` null ends never, `teamIds` null means all teams."""

    scope: str | UnsetType = UNSET
    expires_at: int | None | UnsetType = UNSET
    read_only: bool | UnsetType = UNSET
    admin_opt_in: bool | UnsetType = UNSET
    team_ids: list[str] | None | UnsetType = UNSET


class CreateToken(Body):
    """`POST /user/tokens`. `expires_at` is milliseconds since the epoch; without `team_ids` all teams."""

    name: str = ""
    scope: str = ""
    expires_at: int | None = None
    read_only: bool = False
    admin_opt_in: bool = False
    team_ids: list[str] | None = None
