"""What Node-RED's storage plugin calls: rows of the route table."""

from __future__ import annotations

from appliance.schema.deploys import HandedIn, HandIn
from appliance.schema.instances import LibraryQuery
from appliance.web.plugin import storage
from appliance.web.route import MEGABYTE, Route


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
        "POST",
        "/storage/{id}/deploys",
        storage.hand_in,
        "Hand in a deploy that was made while Weir was away: stored, or kept when the flows were changed.",
        auth="node_red",
        body=HandIn,
        response=HandedIn,
        # Flows and credentials together; what is larger than may be stored is kept.
        max_body_bytes=24 * MEGABYTE,
    ),
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
