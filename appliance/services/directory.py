"""Everything about people and teams that the API serves, put together in one place."""

from __future__ import annotations

from msgspec import Struct

from appliance.auth.passwords import Passwords
from appliance.services.context import Context, Recorder
from appliance.services.invitations import Invitations
from appliance.services.members import Members
from appliance.services.notifications import Notifications
from appliance.services.personal_tokens import PersonalTokens
from appliance.services.platform import PlatformSettings
from appliance.services.recovery import Recovery
from appliance.services.ssh_keys import SshKeysOfPeople
from appliance.services.ssh_logins import SshLogins
from appliance.services.statistics import Statistics
from appliance.services.team_life import TeamLife
from appliance.services.team_types import TeamTypes
from appliance.services.users import Users


class Directory(Struct, frozen=True):
    """The services of people and teams."""

    users: Users
    tokens: PersonalTokens
    teams: TeamLife
    team_types: TeamTypes
    members: Members
    invitations: Invitations
    notifications: Notifications
    settings: PlatformSettings
    statistics: Statistics
    recovery: Recovery
    ssh_keys: SshKeysOfPeople
    ssh_logins: SshLogins


def directory(context: Context, audit: Recorder, hasher: Passwords) -> Directory:
    """All of them, connected."""
    team_life, members = TeamLife(context, audit), Members(context, audit)
    people = Users(context, audit, hasher, team_life)
    return Directory(
        users=people,
        tokens=PersonalTokens(context, audit),
        teams=team_life,
        team_types=TeamTypes(context, audit),
        members=members,
        invitations=Invitations(context, audit, members),
        notifications=Notifications(context, audit),
        settings=PlatformSettings(context, audit),
        statistics=Statistics(context, audit),
        recovery=Recovery(context, audit, hasher, people, team_life),
        ssh_keys=SshKeysOfPeople(context, audit),
        ssh_logins=SshLogins(context, audit, context.home.root / "ssh" / "administrators"),
    )
