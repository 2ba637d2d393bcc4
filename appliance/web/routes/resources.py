"""What instances take of the machine: rows of the route table."""

from __future__ import annotations

from appliance.schema.resources import ResourceHistory, ResourceReport, ResourcesQuery, ResourcesStreamQuery
from appliance.web.handlers import resources
from appliance.web.route import Route

_PATH = "/api/v1/projects/{id}/resources"

RESOURCES = (
    Route(
        "GET",
        _PATH,
        resources.history,
        "Processor, memory, event loop and messages of the last seven hours, oldest first.",
        permission="project:read",
        on="instance",
        query=ResourcesQuery,
        response=ResourceHistory,
    ),
    Route(
        "GET",
        f"{_PATH}/stream",
        resources.follow,
        "The same live: events `sample`; ids are their times.",
        permission="project:read",
        on="instance",
        query=ResourcesStreamQuery,
        response=bytes,
        stream=True,
    ),
    Route(
        "POST",
        _PATH,
        resources.report,
        "What a launcher measured.",
        auth="launcher",
        body=ResourceReport,
        max_body_bytes=16 * 1024,
    ),
)
