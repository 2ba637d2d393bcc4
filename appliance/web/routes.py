"""The route table: what is served, to whom, with which bodies. Routing, rights, decoding, the OpenAPI document and
the tests all read it; a route that isn't here does not exist."""

from __future__ import annotations

from typing import Any

from appliance.schema.audit import AuditPage
from appliance.schema.box import AddName, BoxName, BoxNames, BoxStatus, Health
from appliance.schema.common import AuditQuery, LogQuery, LogStreamQuery, Page, Status
from appliance.schema.instances import (
    ApplicationInstances,
    Available,
    BootGrant,
    BootRequest,
    CheckName,
    CreateInstance,
    Instance,
    Instances,
    InstanceStatus,
    InstanceType,
    InstanceTypes,
    LibraryQuery,
    LogPage,
    Stack,
    Stacks,
    StoredFlows,
    TeamInstances,
    Template,
    Templates,
    UpdateState,
)
from appliance.schema.oauth import OAuthToken
from appliance.schema.users import (
    Application,
    Applications,
    CreateApplication,
    CreateToken,
    Team,
    Teams,
    TeamUser,
    TokenCreated,
    User,
    UserTeams,
)
from appliance.web.handlers import about, box, catalogue, events, instances, launchers, logs, teams, users
from appliance.web.pages import account, avatar, oauth
from appliance.web.plugin import logging, storage
from appliance.web.route import MEGABYTE, Handler, Route

API = "/api/v1"
SMALL = 64 * 1024  # bodies that people and launchers write by hand


def _get(path: str, handler: Handler, response: Any, permission: str | None, summary: str, **rest: Any) -> Route:
    return Route("GET", API + path, handler, summary, permission=permission, response=response, **rest)


def _post(path: str, handler: Handler, response: Any, permission: str | None, summary: str, **rest: Any) -> Route:
    rest.setdefault("max_body_bytes", SMALL)
    return Route("POST", API + path, handler, summary, permission=permission, response=response, **rest)


USERS = (
    _get("/user", users.me, User, "user:read", "Who the credential stands for."),
    _get("/user/teams", users.my_teams, UserTeams, "user:team:list", "The teams of the caller, with his role."),
    _post(
        "/user/tokens",
        users.create_token,
        TokenCreated,
        "user:token:create",
        "Make a personal access token; it is shown this once.",
        body=CreateToken,
    ),
)

TEAMS = (
    _get("/teams", teams.list_all, Teams, "team:list", "All teams of the box.", query=Page),
    _get("/teams/slug/{slug}", teams.show, Team, "team:read", "A team by its slug.", on="team_slug"),
    _get("/teams/{id}", teams.show, Team, "team:read", "A team.", on="team"),
    _get("/teams/{id}/user", teams.my_role, TeamUser, "team:user", "The caller's role in the team.", on="team"),
    _get(
        "/teams/{id}/projects",
        teams.instances,
        TeamInstances,
        "team:projects:list",
        "The instances of a team.",
        on="team",
        query=Page,
    ),
    _get(
        "/teams/{id}/applications",
        teams.applications,
        Applications,
        "team:projects:list",
        "The applications of a team.",
        on="team",
    ),
    _get(
        "/teams/{id}/audit-log",
        teams.audit_log,
        AuditPage,
        "team:audit-log",
        "What happened in a team, newest first.",
        on="team",
        query=AuditQuery,
    ),
    _post(
        "/applications",
        teams.create_application,
        Application,
        "project:create",
        "Make an application in a team.",
        on="body",
        body=CreateApplication,
    ),
    _get("/applications/{id}", teams.application, Application, "project:read", "An application.", on="application"),
    _get(
        "/applications/{id}/instances",
        teams.application_instances,
        ApplicationInstances,
        "team:projects:list",
        "The instances of an application.",
        on="application",
    ),
)


def _action(word: str, handler: Handler, summary: str) -> Route:
    return _post(f"/projects/{{id}}/actions/{word}", handler, Status, "project:change-status", summary, on="instance")


INSTANCES = (
    _get("/instances", instances.list_all, Instances, "instance:list", "All instances that the caller may see."),
    _get("/instances/{id}", instances.show, Instance, "project:read", "An instance by name or id.", on="instance_name"),
    _get(
        "/instances/{id}/flows",
        instances.flows,
        StoredFlows,
        "project:flows:view",
        "The flows that were deployed last; by name or id.",
        on="instance_name",
    ),
    _post(
        "/projects",
        instances.create,
        Instance,
        "project:create",
        "Make an instance and start it; what is left out is taken from the defaults of the box.",
        on="body",
        body=CreateInstance,
        max_body_bytes=10 * MEGABYTE,
    ),
    _post(
        "/projects/check-name",
        instances.check_name,
        Available,
        "project:check-name",
        "Whether an instance may have this name.",
        body=CheckName,
    ),
    _get("/projects/{id}", instances.show, Instance, "project:read", "An instance.", on="instance"),
    Route(
        "DELETE",
        f"{API}/projects/{{id}}",
        instances.delete,
        "Stop an instance and remove it; its flows are kept in a file on the box.",
        permission="project:delete",
        on="instance",
        response=Status,
    ),
    _get(
        "/projects/{id}/status",
        instances.status,
        InstanceStatus,
        "project:status",
        "The live state of an instance.",
        on="instance",
    ),
    _get(
        "/projects/{id}/logs",
        logs.page,
        LogPage,
        "project:log",
        "A page of an instance's console, oldest first.",
        on="instance",
        query=LogQuery,
    ),
    _get(
        "/projects/{id}/logs/stream",
        logs.follow,
        bytes,
        "project:log",
        "The console live: events `log` and `dropped`; ids are cursors.",
        on="instance",
        query=LogStreamQuery,
        stream=True,
    ),
    _get(
        "/projects/{id}/audit-log",
        instances.audit_log,
        AuditPage,
        "project:audit-log",
        "What happened to an instance, newest first.",
        on="instance",
        query=AuditQuery,
    ),
    _action("start", instances.start, "Want the instance running."),
    _action("stop", instances.stop, "Want its Node-RED stopped; the launcher stays."),
    _action("restart", instances.restart, "Restart its Node-RED, with fresh settings."),
    _action("suspend", instances.suspend, "Want nothing of the instance running."),
)

CATALOGUE = (
    _get("/stacks", catalogue.stacks, Stacks, "stack:list", "The stacks of the box.", query=Page),
    _get("/stacks/{id}", catalogue.stack, Stack, "stack:read", "A stack."),
    _get("/templates", catalogue.templates, Templates, "template:list", "The templates of the box.", query=Page),
    _get("/templates/{id}", catalogue.template, Template, "template:read", "A template."),
    _get("/project-types", catalogue.types, InstanceTypes, "project-type:list", "The instance types.", query=Page),
    _get("/project-types/{id}", catalogue.instance_type, InstanceType, "project-type:read", "An instance type."),
)

BOX = (
    _get("/box/status", box.status, BoxStatus, "box:status", "The box: appliance, instances, host, problems."),
    _get("/box/names", box.names, BoxNames, "box:status", "The names under which browsers reach the box."),
    _post(
        "/box/names",
        box.add_name,
        BoxName,
        "settings:edit",
        "Accept a further name; the certificate and nginx follow at once.",
        body=AddName,
    ),
    Route(
        "DELETE",
        f"{API}/box/names/{{name}}",
        box.remove_name,
        "Accept an added name no longer.",
        permission="settings:edit",
        response=Status,
    ),
    _get(
        "/events",
        events.follow,
        bytes,
        "event:list",
        "Live: `instance.state`, `instance.changed`, `instance.removed`; `reset` with everything first.",
        stream=True,
    ),
    Route("GET", "/healthz", box.health, "The appliance answers.", auth="public", response=Health),
    Route("GET", "/ca.crt", box.ca, "The certificate of the box's own authority.", auth="public", response=bytes),
    Route("GET", "/avatar/{name}", avatar.picture, "A person's initials.", auth="public", response=bytes),
    Route("GET", "/assets/weir.css", box.style, "The style sheet.", auth="public", response=bytes),
    Route("GET", f"{API}/openapi.json", about.openapi, "This document.", auth="public", response=bytes),
    Route("GET", "/api/openapi.json", about.openapi, "This document.", auth="public", response=bytes),
    Route("GET", "/api/", about.page, "This document for people.", auth="public", response=bytes),
)

LAUNCHERS = (
    _post(
        "/launchers/boot",
        launchers.boot,
        BootGrant,
        None,
        "Trade a boot ticket for what a launcher needs.",
        auth="public",
        body=BootRequest,
    ),
    _get(
        "/projects/{id}/settings",
        launchers.settings,
        dict[str, Any],
        None,
        "All that a launcher starts its Node-RED with.",
        auth="launcher",
    ),
    _post(
        "/projects/{id}/update-state",
        launchers.update_state,
        dict[str, Any],
        None,
        "What a launcher says of its Node-RED.",
        auth="launcher",
        body=UpdateState,
        status=202,
    ),
    Route(
        "POST",
        "/logging/{id}/audit",
        logging.audit,
        "An event inside Node-RED or its launcher.",
        auth="instance",
        body=bytes,
        max_body_bytes=MEGABYTE,
    ),
)


def _storage(kind: str) -> tuple[Route, Route]:
    path = f"/storage/{{id}}/{kind}"
    return (
        Route("GET", path, storage.reader(kind), f"Node-RED's {kind}.", auth="node_red", response=bytes),
        Route(
            "POST", path, storage.writer(kind), f"Store Node-RED's {kind}.", auth="node_red", body=bytes, response=bytes
        ),
    )


STORAGE = (
    *(route for kind in storage.KINDS for route in _storage(kind)),
    Route(
        "GET",
        "/storage/{id}/library/{type}",
        storage.read_library,
        "An entry or a folder of the library.",
        auth="node_red",
        query=LibraryQuery,
        response=bytes,
    ),
    Route(
        "POST",
        "/storage/{id}/library/{type}",
        storage.write_library,
        "Keep an entry of the library.",
        auth="node_red",
        body=bytes,
        status=201,
    ),
)


def _page(method: str, path: str, handler: Handler, summary: str, **rest: Any) -> Route:
    return Route(method, path, handler, summary, auth="browser", response=bytes, max_body_bytes=SMALL, **rest)


PAGES = (
    _page("GET", "/", account.landing, "Your instances."),
    _page("GET", "/account/login", account.login_page, "The login page."),
    _page("POST", "/account/login", account.login, "Log in by form or JSON.", body=dict),
    _page("POST", "/account/logout", account.logout, "Log out.", body=dict),
    _page("GET", "/account/authorize", oauth.authorize, "An editor asks for a login."),
    _page("GET", "/account/request/{id}/editor", oauth.login_page, "The login page of an editor's login."),
    _page("GET", "/account/complete/{id}", oauth.complete, "Finish an editor's login."),
    _page("GET", "/account/reject/{id}", oauth.reject, "Refuse an editor's login."),
    Route(
        "POST",
        "/account/token",
        oauth.token,
        "Trade an authorization code or a refresh token.",
        auth="public",
        body=dict,
        response=OAuthToken,
        max_body_bytes=SMALL,
    ),
    Route("GET", "/account/check/{kind}/{owner}", oauth.check, "Whether a token belongs to this owner.", auth="bearer"),
)

ROUTES: tuple[Route, ...] = (*USERS, *TEAMS, *INSTANCES, *CATALOGUE, *BOX, *LAUNCHERS, *STORAGE, *PAGES)
