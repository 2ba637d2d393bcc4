"""Rows of the route table about snapshots."""

from __future__ import annotations

from typing import Any

from appliance.schema.common import Status
from appliance.schema.snapshots import (
    ApplicationSnapshots,
    ChangeSnapshot,
    CreateSnapshot,
    ExportedSnapshot,
    ExportSnapshot,
    FullSnapshot,
    ImportSnapshot,
    Rollback,
    Snapshot,
    Snapshots,
)
from appliance.web.handlers import snapshots
from appliance.web.route import MEGABYTE, Handler, Route
from appliance.web.routes.rows import delete, get, post, put

# Flows and credentials of the largest instance, and what a file has around them.
FILE_BYTES = 24 * MEGABYTE


def _one(row: Any, path: str, handler: Handler, response: Any, permission: str, summary: str, **rest: Any) -> Route:
    made: Route = row(f"/snapshots/{{id}}{path}", handler, response, permission, summary, on="snapshot", **rest)
    return made


def _of(row: Any, path: str, handler: Handler, response: Any, permission: str, summary: str, **rest: Any) -> Route:
    made: Route = row(f"/projects/{{id}}{path}", handler, response, permission, summary, on="instance", **rest)
    return made


SNAPSHOTS: tuple[Route, ...] = (
    _of(
        get,
        "/snapshots",
        snapshots.list_all,
        Snapshots,
        "project:snapshot:list",
        "Snapshots of an instance, newest first.",
    ),
    _of(
        post,
        "/snapshots",
        snapshots.create,
        Snapshot,
        "project:snapshot:create",
        "Keep what an instance is now, or the flows that are sent, as a snapshot.",
        body=CreateSnapshot,
        max_body_bytes=FILE_BYTES,
    ),
    _of(
        get,
        "/snapshots/{snapshot}",
        snapshots.show_of_instance,
        Snapshot,
        "project:snapshot:read",
        "A snapshot of an instance.",
    ),
    _of(
        delete,
        "/snapshots/{snapshot}",
        snapshots.remove_of_instance,
        Status,
        "project:snapshot:delete",
        "Delete a snapshot of an instance.",
    ),
    _of(
        post,
        "/snapshots/{snapshot}/export",
        snapshots.export_of_instance,
        ExportedSnapshot,
        "project:snapshot:export",
        "A snapshot as a file, its secrets encrypted with the secret that is given.",
        body=ExportSnapshot,
    ),
    _of(
        post,
        "/actions/rollback",
        snapshots.rollback,
        Status,
        "project:snapshot:rollback",
        "Make a snapshot what the instance is, and restart it; what it was is kept as an automatic snapshot.",
        body=Rollback,
    ),
    get(
        "/applications/{id}/snapshots",
        snapshots.of_application,
        ApplicationSnapshots,
        "project:snapshot:list",
        "Snapshots of an application's instances, newest first.",
        on="application",
    ),
    _one(get, "", snapshots.show, Snapshot, "snapshot:meta", "A snapshot."),
    _one(
        get,
        "/full",
        snapshots.full,
        FullSnapshot,
        "snapshot:full",
        "A snapshot with its flows and settings; without credentials and hidden values.",
    ),
    _one(put, "", snapshots.change, Snapshot, "snapshot:edit", "Rename or describe a snapshot.", body=ChangeSnapshot),
    _one(delete, "", snapshots.remove, Status, "snapshot:delete", "Delete a snapshot."),
    _one(
        post,
        "/export",
        snapshots.export,
        ExportedSnapshot,
        "snapshot:export",
        "A snapshot as a file, its secrets encrypted with the secret that is given.",
        body=ExportSnapshot,
    ),
    post(
        "/snapshots/import",
        snapshots.take,
        Snapshot,
        "snapshot:import",
        "Keep a file as a snapshot of an instance; the instance itself does not change.",
        on="body",
        body=ImportSnapshot,
        max_body_bytes=FILE_BYTES,
    ),
)
