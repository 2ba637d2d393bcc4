"""Rows of the route table: instances, the teams and applications they are listed by, and deploys that were kept."""

from __future__ import annotations

from appliance.schema.audit import AuditPage
from appliance.schema.catalogue import ApplicationsQuery, SearchQuery, SearchResults, TeamApplications
from appliance.schema.common import AuditQuery, LogQuery, LogStreamQuery, Status
from appliance.schema.deploys import KeptDeploys, KeptFlows
from appliance.schema.instances import (
    ApplicationInstances,
    Available,
    ChangedInstance,
    ChangeInstance,
    CheckName,
    CreateInstance,
    Instance,
    Instances,
    InstanceStatus,
    LogPage,
    OpenedShell,
    StoredFlows,
    TeamInstances,
    TeamInstancesQuery,
)
from appliance.schema.users import Application, CreateApplication
from appliance.web.handlers import applications, deploys, instances, logs, teams
from appliance.web.route import MEGABYTE, Handler, Route
from appliance.web.routes.rows import API, get, post

TEAMS = (
    get(
        "/teams/{id}/projects",
        teams.instances,
        TeamInstances,
        "team:projects:list",
        "The instances of a team.",
        on="team",
        query=TeamInstancesQuery,
    ),
    get(
        "/teams/{id}/applications",
        applications.of_team,
        TeamApplications,
        "team:projects:list",
        "The applications of a team, with what is in them.",
        on="team",
        query=ApplicationsQuery,
    ),
    get(
        "/search",
        applications.search,
        SearchResults,
        "team:search",
        "The applications and instances of a team that have a text in their name.",
        on="query",
        query=SearchQuery,
    ),
    get(
        "/search/instances",
        applications.search_instances,
        SearchResults,
        "team:search",
        "The instances of a team that have a text in their name.",
        on="query",
        query=SearchQuery,
    ),
    post(
        "/applications",
        teams.create_application,
        Application,
        "project:create",
        "Make an application in a team.",
        on="body",
        body=CreateApplication,
    ),
    get("/applications/{id}", teams.application, Application, "project:read", "An application.", on="application"),
    get(
        "/applications/{id}/instances",
        teams.application_instances,
        ApplicationInstances,
        "team:projects:list",
        "The instances of an application.",
        on="application",
    ),
)


def _action(word: str, handler: Handler, summary: str) -> Route:
    return post(f"/projects/{{id}}/actions/{word}", handler, Status, "project:change-status", summary, on="instance")


INSTANCES = (
    get("/instances", instances.list_all, Instances, "instance:list", "All instances that the caller may see."),
    get("/instances/{id}", instances.show, Instance, "project:read", "An instance by name or id.", on="instance_name"),
    get(
        "/instances/{id}/flows",
        instances.flows,
        StoredFlows,
        "project:flows:view",
        "The flows that were deployed last; by name or id.",
        on="instance_name",
    ),
    post(
        "/projects",
        instances.create,
        Instance,
        "project:create",
        "Make an instance and start it; what is left out is taken from the defaults of the box.",
        on="body",
        body=CreateInstance,
        max_body_bytes=10 * MEGABYTE,
    ),
    post(
        "/projects/check-name",
        instances.check_name,
        Available,
        "project:check-name",
        "Whether an instance may have this name.",
        body=CheckName,
    ),
    get("/projects/{id}", instances.show, Instance, "project:read", "An instance.", on="instance"),
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
    get(
        "/projects/{id}/status",
        instances.status,
        InstanceStatus,
        "project:status",
        "The live state of an instance.",
        on="instance",
    ),
    get(
        "/projects/{id}/logs",
        logs.page,
        LogPage,
        "project:log",
        "A page of an instance's console, oldest first.",
        on="instance",
        query=LogQuery,
    ),
    get(
        "/projects/{id}/logs/stream",
        logs.follow,
        bytes,
        "project:log",
        "The console live: events `log` and `dropped`; ids are cursors.",
        on="instance",
        query=LogStreamQuery,
        stream=True,
    ),
    get(
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
    _action(
        "restartSafe", instances.restart_safe, "Restart its Node-RED in safe mode: the editor opens, no flow runs."
    ),
    _action("kill", instances.kill, "End its Node-RED at once, without asking it to end, and start it again."),
    post(
        "/projects/{id}/shells",
        instances.shell_opened,
        Status,
        "settings:edit",
        "Record that a shell is opened in its directory on the box; whoever opens one says so first.",
        on="instance",
        body=OpenedShell,
    ),
    _action("suspend", instances.suspend, "Want nothing of the instance running."),
)

KEPT = (
    get(
        "/projects/{id}/kept",
        deploys.list_all,
        KeptDeploys,
        "project:flows:view",
        "Deploys made while Weir was away that could not be stored, oldest first.",
        on="instance",
    ),
    get(
        "/projects/{id}/kept/{kept}",
        deploys.flows,
        KeptFlows,
        "project:flows:view",
        "The flows of a kept deploy.",
        on="instance",
    ),
    post(
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
