"""Members of teams, invitations, notifications (platform model §4)."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, UnsetType

from appliance.schema.common import Body, Meta, Wire
from appliance.schema.users import TeamSummary, UserSummary


class TeamMember(UserSummary):
    """An account and its role in the team."""

    role: int
    permissions: dict[str, Any] = {}


class TeamMembers(Wire):
    meta: Meta
    count: int
    members: list[TeamMember]


class AddMember(Body):
    """`POST /teams/:id/members`: `user` is an id, a user name or an e-mail address."""

    user: str
    role: int = 30


class ChangeMember(Body):
    """`role` or `permissions`, not both; the latter needs roles per application, which Weir has not."""

    role: int | UnsetType = UNSET
    permissions: dict[str, Any] | UnsetType = UNSET


class Invitation(Wire):
    id: str
    role: int
    created_at: str
    expires_at: str
    sent_at: str
    team: TeamSummary
    invitor: UserSummary
    invitee: UserSummary


class Invitations(Wire):
    meta: Meta
    count: int
    invitations: list[Invitation]


class Invite(Body):
    """Up to five user names or e-mail addresses, separated by commas."""

    user: str
    role: int | None = None


class Invited(Wire, omit_defaults=True):
    """All were invited: `status`. Else `code` and `error`: why not, by name; the others were."""

    status: str | None = None
    code: str | None = None
    error: dict[str, str] | None = None


class Notification(Wire):
    id: str
    type: str
    created_at: str
    read: bool
    data: dict[str, Any]


class Notifications(Wire):
    meta: Meta
    count: int
    notifications: list[Notification]


class MarkNotifications(Body):
    ids: list[str] = []
    read: bool = True


class MarkNotification(Body):
    read: bool = True


class Announce(Body):
    """`POST /admin/announcements`: to all, or to those who have one of the roles in some team.

    `mock` only counts; `recipient_roles` is the older spelling of `filter.roles`.
    """

    message: str
    title: str
    filter: dict[str, Any] = {}
    recipient_roles: list[int] | None = None
    mock: bool = False
    to: Any = None
    url: str = ""


class Announced(Wire):
    recipient_count: int
    mock: bool
