"""Rows of the route table about the HTTP endpoints of flows."""

from __future__ import annotations

from appliance.schema.endpoints import (
    ChangeHttpToken,
    CreateHttpToken,
    HttpToken,
    HttpTokenCreated,
    HttpTokens,
)
from appliance.web.handlers import endpoints
from appliance.web.route import Route
from appliance.web.routes.rows import delete, get, post, put

_PATH = "/projects/{id}/httpTokens"

ENDPOINTS: tuple[Route, ...] = (
    get(
        _PATH,
        endpoints.list_all,
        HttpTokens,
        "project:httpToken:list",
        "Tokens for the HTTP endpoints of an instance's flows.",
        on="instance",
    ),
    post(
        _PATH,
        endpoints.create,
        HttpTokenCreated,
        "project:edit",
        "Make a token for the HTTP endpoints of an instance's flows; it is shown this once.",
        on="instance",
        body=CreateHttpToken,
    ),
    put(
        f"{_PATH}/{{token}}",
        endpoints.change,
        HttpToken,
        "project:edit",
        "Rename such a token, or let it end at another time.",
        on="instance",
        body=ChangeHttpToken,
    ),
    delete(
        f"{_PATH}/{{token}}",
        endpoints.remove,
        None,
        "project:edit",
        "End such a token; the instance notices within half a minute.",
        on="instance",
        status=204,
    ),
)
