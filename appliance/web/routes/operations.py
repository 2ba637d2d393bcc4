"""Rows of the route table: looking after the box."""

from __future__ import annotations

from appliance.schema.operations import AlertsStatus, AlertsTested, Maintenance, SetMaintenance, WearReport
from appliance.web.handlers import operations
from appliance.web.route import Route
from appliance.web.routes.rows import get, post, put

OPERATIONS = (
    get(
        "/box/maintenance",
        operations.maintenance,
        Maintenance,
        "box:status",
        "Whether the box is in maintenance: all instances paused.",
    ),
    put(
        "/box/maintenance",
        operations.set_maintenance,
        Maintenance,
        "settings:edit",
        "Pause all instances, or resume each as it is wanted.",
        body=SetMaintenance,
    ),
    get("/box/wear", operations.wear, WearReport, "box:status", "What is written to the disk each day, and by whom."),
    get(
        "/box/alerts", operations.alerts, AlertsStatus, "platform:debug", "Where problems are told, and how that goes."
    ),
    post(
        "/box/alerts/test",
        operations.test_alerts,
        AlertsTested,
        "settings:edit",
        "Tell every receiver of alerts that this is a test.",
    ),
    Route(
        "GET",
        "/metrics",
        operations.metrics,
        "The box in numbers, as OpenMetrics.",
        permission="platform:stats",
        response=bytes,
        media="application/openmetrics-text",
    ),
)
