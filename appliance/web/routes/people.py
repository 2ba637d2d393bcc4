"""Rows of the route table about people: accounts, tokens, teams, members, invitations, settings of the platform."""

from __future__ import annotations

from typing import Any

from appliance.schema import members as wire
from appliance.schema.audit import AuditPage
from appliance.schema.common import AuditQuery, Page, Status
from appliance.schema.platform import ApplyLicense, Statistics, StatsToken
from appliance.schema.team_types import ChangeTeamType, CreateTeamType, TeamType, TeamTypes, TypesQuery
from appliance.schema.users import (
    ChangeOwnUser,
    ChangePassword,
    ChangeTeam,
    ChangeToken,
    ChangeUser,
    CheckSlug,
    CountQuery,
    CreateTeam,
    CreateToken,
    CreateUser,
    OwnPermissions,
    Recovery,
    Team,
    Teams,
    TeamUser,
    TokenCreated,
    TokenList,
    TokenSummary,
    User,
    Users,
    UserTeams,
)
from appliance.web.handlers import people, platform, teams, users
from appliance.web.route import Handler, Route
from appliance.web.routes.account import ACCOUNT
from appliance.web.routes.rows import delete, get, patch, post, put

ME = (
    get("/user", users.me, User, "user:read", "Who the credential stands for."),
    put("/user", users.change_me, User, "user:edit", "Change one's own account.", body=ChangeOwnUser),
    delete("/user", users.remove_me, Status, "user:delete", "Delete one's own account."),
    put(
        "/user/change_password",
        users.change_password,
        Status,
        "user:edit",
        "Set a new password, by whoever knows the old one; sessions and editors end.",
        body=ChangePassword,
    ),
    get("/user/teams", users.my_teams, UserTeams, "user:team:list", "The teams of the caller, with his role."),
    get(
        "/user/permissions",
        users.permissions,
        OwnPermissions,
        "user:team:list",
        "What the credential allows: the lowest role by permission, and the caller's roles.",
    ),
    get("/user/tokens", users.tokens, TokenList, "user:token:list", "The caller's personal access tokens."),
    post(
        "/user/tokens",
        users.create_token,
        TokenCreated,
        "user:token:create",
        "Make a personal access token; it is shown this once. Not by a token.",
        body=CreateToken,
    ),
    put(
        "/user/tokens/{id}",
        users.change_token,
        TokenSummary,
        "user:token:edit",
        "Narrow or widen a personal access token; in force at once. Not by a token.",
        body=ChangeToken,
    ),
    delete("/user/tokens/{id}", users.remove_token, None, "user:token:delete", "End a token at once.", status=204),
    get(
        "/user/invitations",
        users.invitations,
        wire.Invitations,
        "user:invitation:list",
        "Invitations that the caller may accept.",
    ),
    patch("/user/invitations/{id}", users.accept, Status, "user:invitation:accept", "Accept an invitation."),
    delete("/user/invitations/{id}", users.reject, Status, "user:invitation:reject", "Reject an invitation."),
    get(
        "/user/notifications",
        users.notifications,
        wire.Notifications,
        "user:notification:list",
        "What the box has to tell the caller, newest first.",
        query=Page,
    ),
    put(
        "/user/notifications",
        users.mark_notifications,
        wire.Notifications,
        "user:notification:edit",
        "Mark several as read or unread.",
        body=wire.MarkNotifications,
    ),
    put(
        "/user/notifications/{id}",
        users.mark_notification,
        Status,
        "user:notification:edit",
        "Mark one as read or unread.",
        body=wire.MarkNotification,
    ),
    delete("/user/notifications/{id}", users.remove_notification, Status, "user:notification:delete", "Drop one."),
)

USERS = (
    get("/users", people.list_all, Users, "user:list", "All accounts.", query=Page),
    post("/users", people.create, User, "user:create", "Make an account.", body=CreateUser),
    get("/users/{id}", people.show, User, "user:read", "An account.", on="user"),
    put("/users/{id}", people.change, User, "user:edit", "Change an account.", on="user", body=ChangeUser),
    delete("/users/{id}", people.remove, Status, "user:delete", "Delete an account.", on="user"),
    get("/users/{id}/teams", people.teams, UserTeams, "user:team:list", "The teams of an account.", on="user"),
    post(
        "/users/{id}/reset-password",
        people.reset_password,
        Recovery,
        "user:reset-password",
        "A code with which the user sets a new password, once, within half an hour. Not by a token.",
    ),
    post(
        "/users/{id}/tokens",
        users.create_token_for,
        TokenCreated,
        "user:token:create-for",
        "Make a personal access token for somebody; it is shown this once. Not by a token.",
        body=CreateToken,
    ),
)


def _team(row: Any, path: str, handler: Handler, response: Any, permission: str, summary: str, **rest: Any) -> Route:
    made: Route = row(f"/teams/{{id}}{path}", handler, response, permission, summary, on="team", **rest)
    return made


TEAMS = (
    get("/teams", teams.list_all, Teams, "team:list", "All teams of the box.", query=Page),
    post("/teams", teams.create, Team, "team:create", "Make a team, and own it.", body=CreateTeam),
    post(
        "/teams/check-slug",
        teams.check_slug,
        Status,
        "team:create",
        "Whether a team may have this slug.",
        body=CheckSlug,
    ),
    get("/teams/slug/{slug}", teams.show, Team, "team:read", "A team by its slug.", on="team_slug"),
    _team(get, "", teams.show, Team, "team:read", "A team; to users of its dashboards a summary."),
    _team(put, "", teams.change, Team, "team:edit", "Change a team, or suspend it.", body=ChangeTeam),
    _team(delete, "", teams.remove, Status, "team:delete", "Delete a team that has no instances."),
    _team(get, "/user", teams.my_role, TeamUser, "team:user", "The caller's role in the team."),
    _team(
        get,
        "/instance-counts",
        teams.instance_counts,
        dict[str, int],
        "team:read",
        "How many instances the team has, by their state.",
        query=CountQuery,
    ),
    _team(post, "/comms-credentials", teams.comms_credentials, Status, "team:comms", "Always 503: there is no broker."),
    _team(get, "/members", teams.members, wire.TeamMembers, "team:user:list", "The members of a team."),
    _team(
        post,
        "/members",
        teams.add_member,
        wire.TeamMember,
        "team:user:add",
        "Make somebody a member without asking him.",
        body=wire.AddMember,
    ),
    _team(
        put,
        "/members/{user}",
        teams.change_member,
        Status,
        "team:user:change-role",
        "Give a member another role.",
        body=wire.ChangeMember,
    ),
    _team(delete, "/members/{user}", teams.remove_member, Status, "team:user:remove", "End a membership."),
    _team(get, "/invitations", teams.invitations, wire.Invitations, "team:user:invite", "Open invitations."),
    _team(
        post,
        "/invitations",
        teams.invite,
        wire.Invited,
        "team:user:invite",
        "Invite up to five people who have an account.",
        body=wire.Invite,
    ),
    _team(
        post,
        "/invitations/{invitation}",
        teams.resend_invitation,
        wire.Invitation,
        "team:user:invite",
        "Tell of an invitation once more; it begins anew.",
    ),
    _team(
        delete,
        "/invitations/{invitation}",
        teams.withdraw_invitation,
        Status,
        "team:user:invite",
        "Withdraw an invitation.",
    ),
)


def _logs(path: str, on: Any, permission: str, page: Handler | None, export: Handler) -> tuple[Route, ...]:
    shown = (
        (
            get(
                f"{path}/audit-log",
                page,
                AuditPage,
                permission,
                "What happened there, newest first.",
                on=on,
                query=AuditQuery,
            ),
        )
        if page
        else ()
    )
    sheet = get(
        f"{path}/audit-log/export",
        export,
        bytes,
        permission,
        "The same as CSV.",
        on=on,
        query=AuditQuery,
        media="text/csv",
    )
    return (*shown, sheet)


AUDIT = (
    *_logs("/admin", "none", "platform:audit-log", platform.audit_log, platform.export_audit_log),
    *_logs("/teams/{id}", "team", "team:audit-log", teams.audit_log, teams.export_audit_log),
    *_logs(
        "/applications/{id}",
        "application",
        "application:audit-log",
        teams.application_audit_log,
        teams.export_application_audit_log,
    ),
    *_logs("/projects/{id}", "instance", "project:audit-log", None, teams.export_instance_audit_log),
)

PLATFORM = (
    Route(
        "GET",
        "/api/v1/settings",
        platform.settings,
        "Settings of the platform: a little for strangers, most for administrators.",
        auth="anyone",
        response=dict[str, Any],
    ),
    put(
        "/settings",
        platform.change_settings,
        Status,
        "settings:edit",
        "Change settings of the platform; all or nothing.",
        body=bytes,
    ),
    get("/admin/stats", platform.stats, Statistics, "platform:stats", "Numbers, as JSON or OpenMetrics."),
    post(
        "/admin/stats-token",
        platform.new_stats_token,
        StatsToken,
        "platform:stats:token",
        "A token that is good for the statistics only; the one before ends.",
    ),
    delete(
        "/admin/stats-token", platform.end_stats_token, Status, "platform:stats:token", "End the statistics' token."
    ),
    get("/admin/license", platform.license_, dict[str, Any], "license:read", "Empty: Weir needs no licence."),
    put(
        "/admin/license",
        platform.apply_license,
        dict[str, Any],
        "license:edit",
        "Always refused: Weir needs no licence.",
        body=ApplyLicense,
    ),
    get("/admin/invitations", platform.invitations, wire.Invitations, "invitation:list", "All open invitations."),
    post(
        "/admin/announcements",
        platform.announce,
        wire.Announced,
        "user:announcements:manage",
        "Tell everybody something, or those with certain roles.",
        body=wire.Announce,
    ),
    get("/team-types", platform.team_types, TeamTypes, "team-type:list", "The types of teams.", query=TypesQuery),
    get("/team-types/{id}", platform.team_type, TeamType, "team-type:read", "A type of teams."),
    post(
        "/team-types",
        platform.create_team_type,
        TeamType,
        "team-type:create",
        "Make a type of teams.",
        body=CreateTeamType,
    ),
    put(
        "/team-types/{id}",
        platform.change_team_type,
        TeamType,
        "team-type:edit",
        "Change a type of teams.",
        body=ChangeTeamType,
    ),
    delete("/team-types/{id}", platform.remove_team_type, Status, "team-type:delete", "Delete a type of teams."),
)

PEOPLE: tuple[Route, ...] = (*ME, *USERS, *TEAMS, *AUDIT, *PLATFORM, *ACCOUNT)
