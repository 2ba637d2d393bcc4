"""Rows of the route table about what instances are made of, and about applications."""

from __future__ import annotations

from appliance.schema import catalogue as wire
from appliance.schema.common import Page, Status
from appliance.schema.instances import (
    ImportProject,
    InstanceType,
    InstanceTypes,
    Stack,
    Stacks,
    Template,
    Templates,
)
from appliance.schema.users import Application
from appliance.web.handlers import applications, catalogue, instances
from appliance.web.route import MEGABYTE, Route
from appliance.web.routes.rows import delete, get, post, put

STACKS = (
    get("/stacks", catalogue.stacks, Stacks, "stack:list", "The stacks of the box.", query=wire.CatalogueQuery),
    get("/stacks/{id}", catalogue.stack, Stack, "stack:read", "A stack."),
    post("/stacks", catalogue.create_stack, Stack, "stack:create", "Make a stack.", body=wire.CreateStack),
    put(
        "/stacks/{id}",
        catalogue.change_stack,
        Stack,
        "stack:edit",
        "Change a stack; one that instances run on keeps all but label and active.",
        body=wire.ChangeStack,
    ),
    delete(
        "/stacks/{id}",
        catalogue.remove_stack,
        Status,
        "stack:delete",
        "Remove a stack that no instance runs on, with its files.",
    ),
)

TEMPLATES = (
    get("/templates", catalogue.templates, Templates, "template:list", "The templates of the box.", query=Page),
    get("/templates/{id}", catalogue.template, Template, "template:read", "A template."),
    post(
        "/templates",
        catalogue.create_template,
        Template,
        "template:create",
        "Make a template.",
        body=wire.CreateTemplate,
        max_body_bytes=MEGABYTE,
    ),
    put(
        "/templates/{id}",
        catalogue.change_template,
        Template,
        "template:edit",
        "Change a template; its instances have it from their next start.",
        body=wire.ChangeTemplate,
        max_body_bytes=MEGABYTE,
    ),
    delete(
        "/templates/{id}",
        catalogue.remove_template,
        Status,
        "template:delete",
        "Remove a template that no instance is made from.",
    ),
)

TYPES = (
    get(
        "/project-types",
        catalogue.types,
        InstanceTypes,
        "project-type:list",
        "The instance types.",
        query=wire.CatalogueQuery,
    ),
    get("/project-types/{id}", catalogue.instance_type, InstanceType, "project-type:read", "An instance type."),
    post(
        "/project-types",
        catalogue.create_type,
        InstanceType,
        "project-type:create",
        "Make an instance type.",
        body=wire.CreateInstanceType,
    ),
    put(
        "/project-types/{id}",
        catalogue.change_type,
        InstanceType,
        "project-type:edit",
        "Change an instance type.",
        body=wire.ChangeInstanceType,
    ),
    delete(
        "/project-types/{id}",
        catalogue.remove_type,
        Status,
        "project-type:delete",
        "Remove an instance type that no instance is of.",
    ),
)

APPLICATIONS = (
    put(
        "/applications/{id}",
        applications.change,
        Application,
        "project:edit",
        "Change what an application is called.",
        on="application",
        body=wire.ChangeApplication,
    ),
    delete(
        "/applications/{id}",
        applications.remove,
        Status,
        "project:delete",
        "Remove an application that has no instances any more.",
        on="application",
    ),
    get(
        "/applications/{id}/instances/status",
        applications.states,
        wire.LiveInstances,
        "team:projects:list",
        "The live states of an application's instances.",
        on="application",
    ),
    get(
        "/applications/{id}/dashboard-instances",
        applications.dashboards,
        wire.DashboardInstances,
        "team:projects:list-dashboards",
        "The application's instances with a dashboard.",
        on="application",
    ),
    get(
        "/applications/{id}/devices",
        applications.devices,
        wire.NoDevices,
        "team:device:list",
        "The application's devices: none, in this version.",
        on="application",
        query=Page,
    ),
    get(
        "/teams/{id}/applications/status",
        applications.team_states,
        wire.LiveApplications,
        "team:projects:list",
        "The live states of a team's instances, by application.",
        on="team",
        query=wire.StatesQuery,
    ),
    get(
        "/teams/{id}/dashboard-instances",
        applications.team_dashboards,
        wire.DashboardInstances,
        "team:projects:list-dashboards",
        "The team's instances with a dashboard.",
        on="team",
    ),
)

INSTANCES = (
    post(
        "/projects/{id}/import",
        instances.import_files,
        Status,
        "project:edit",
        "Take over the flows and credentials of a Node-RED that stands alone, and restart.",
        on="instance",
        body=ImportProject,
        max_body_bytes=10 * MEGABYTE,
    ),
    post(
        "/projects/{id}/actions/restartStack",
        instances.restart_stack,
        Status,
        "project:change-status",
        "Start it anew, launcher and all, on its stack.",
        on="instance",
    ),
)

CATALOGUE: tuple[Route, ...] = (*STACKS, *TEMPLATES, *TYPES, *APPLICATIONS, *INSTANCES)
