"""Rows of the route table: the box itself, its live events and its API document."""

from __future__ import annotations

from appliance.schema.box import AddName, BoxName, BoxNames, BoxStatus, BoxTasks, Health, Machine
from appliance.schema.broker import BrokerStatus
from appliance.schema.common import Status
from appliance.web.handlers import about, box, events
from appliance.web.pages import avatar
from appliance.web.route import Route
from appliance.web.routes.rows import API, get, post

BOX = (
    get("/box/status", box.status, BoxStatus, "box:status", "The box: appliance, instances, host, problems."),
    get(
        "/box/machine",
        box.machine,
        Machine,
        "box:status",
        "The machine: processors, memory, disks, temperature, certificates.",
    ),
    get("/box/broker", box.broker, BrokerStatus, "box:status", "The message broker: whether it runs, where it is."),
    get("/box/names", box.names, BoxNames, "box:status", "The names under which browsers reach the box."),
    post(
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
    get(
        "/events",
        events.follow,
        bytes,
        "event:list",
        "Live: `instance.state`, `.changed`, `.removed`, `.resources`; `reset` with everything first.",
        stream=True,
    ),
    get("/box/tasks", box.tasks, BoxTasks, "platform:debug", "What the appliance has under way, counted by name."),
    Route("GET", "/healthz", box.health, "The appliance answers.", auth="public", response=Health),
    Route(
        "GET",
        "/ca.crt",
        box.ca,
        "The certificate of the box's own authority.",
        auth="public",
        response=bytes,
        media="application/x-x509-ca-cert",
    ),
    Route(
        "GET",
        "/avatar/{name}",
        avatar.picture,
        "A person's initials.",
        auth="public",
        response=bytes,
        media="image/svg+xml",
    ),
    Route("GET", "/assets/weir.css", box.style, "The style sheet.", auth="public", response=bytes, media="text/css"),
    Route(
        "GET",
        "/assets/api.js",
        about.script,
        "The search of the API's page.",
        auth="public",
        response=bytes,
        media="text/javascript",
    ),
    Route("GET", f"{API}/openapi.json", about.openapi, "This document.", auth="public", response=bytes),
    Route("GET", "/api/openapi.json", about.openapi, "This document.", auth="public", response=bytes),
    Route("GET", "/api/", about.page, "This document for people.", auth="public", response=bytes, media="text/html"),
)
