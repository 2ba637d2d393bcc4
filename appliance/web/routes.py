"""The route table: what is served, to whom, with which bodies. Routing, rights, decoding, the OpenAPI document and
the tests all read it; a route that isn't here does not exist."""

from __future__ import annotations

from typing import Any

from appliance.schema.audit import AuditPage
from appliance.schema.box import AddName, BoxName, BoxNames, BoxStatus, BoxTasks, Health
from appliance.schema.common import AuditQuery, LogQuery, LogStreamQuery, Page, Status
from appliance.schema.deploys import KeptDeploys, KeptFlows
from appliance.schema.instances import (
    ApplicationInstances,
    Available,
    BootGrant,
    BootRequest,
    ChangedInstance,
    ChangeInstance,
    CheckName,
    CreateInstance,
    Instance,
    Instances,
    InstanceStatus,
    LogPage,
    StoredFlows,
    TeamInstances,
    UpdateState,
)
from appliance.schema.oauth import OAuthToken
from appliance.schema.users import Application, Applications, CreateApplication
from appliance.web.catalogue_routes import CATALOGUE
from appliance.web.endpoint_routes import ENDPOINTS
from appliance.web.handlers import about, box, deploys, events, instances, launchers, logs, teams
from appliance.web.pages import account, avatar, oauth
from appliance.web.people_routes import PEOPLE
from appliance.web.plugin import logging
from appliance.web.plugin.routes import STORAGE
from appliance.web.resource_routes import RESOURCES
from appliance.web.route import MEGABYTE, Handler, Route
from appliance.web.rows import API, SMALL
from appliance.web.rows import get as _get
from appliance.web.rows import post as _post
from appliance.web.snapshot_routes import SNAPSHOTS

TEAMS = (
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
        "PUT",
        f"{API}/projects/{{id}}",
        instances.change,
        "Change an instance: name, settings, variables, stack, type, or another's copy. Members: the variables.",
        permission="project:edit-env",
        on="instance",
        body=ChangeInstance,
        response=ChangedInstance,
        max_body_bytes=MEGABYTE,
    ),
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

KEPT = (
    _get(
        "/projects/{id}/kept",
        deploys.list_all,
        KeptDeploys,
        "project:flows:view",
        "Deploys made while Weir was away that could not be stored, oldest first.",
        on="instance",
    ),
    _get(
        "/projects/{id}/kept/{kept}",
        deploys.flows,
        KeptFlows,
        "project:flows:view",
        "The flows of a kept deploy.",
        on="instance",
    ),
    _post(
        "/projects/{id}/kept/{kept}/restore",
        deploys.restore,
        Status,
        "project:flows:edit",
        "Make a kept deploy the instance's flows and restart it; the flows so far are kept instead.",
        on="instance",
    ),
    Route(
        "DELETE",
        f"{API}/projects/{{id}}/kept/{{kept}}",
        deploys.discard,
        "Forget a kept deploy for good.",
        permission="project:flows:edit",
        on="instance",
        response=Status,
    ),
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
        "Live: `instance.state`, `.changed`, `.removed`, `.resources`; `reset` with everything first.",
        stream=True,
    ),
    _get("/box/tasks", box.tasks, BoxTasks, "platform:debug", "What the appliance has under way, counted by name."),
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

ROUTES: tuple[Route, ...] = (
    *PEOPLE,
    *TEAMS,
    *INSTANCES,
    *KEPT,
    *SNAPSHOTS,
    *ENDPOINTS,
    *CATALOGUE,
    *BOX,
    *LAUNCHERS,
    *RESOURCES,
    *STORAGE,
    *PAGES,
)
