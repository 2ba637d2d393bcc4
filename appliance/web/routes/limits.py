"""Rows of the route table: what an instance may take of the box."""

from __future__ import annotations

from appliance.schema.limits import ChangeLimits, ShownLimits
from appliance.web.handlers import limits, shell
from appliance.web.routes.rows import get, put

_PATH = "/projects/{id}/limits"

LIMITS = (
    get(
        "/projects/{id}/shell",
        shell.open_,
        bytes,
        "project:shell",
        "A shell in the sandbox of an instance, as a WebSocket: what its flows can do, it can do.",
        on="instance",
        stream=True,
    ),
    get(
        _PATH,
        limits.read,
        ShownLimits,
        "project:read",
        "What an instance may take of memory, processors, disk and devices, and what it takes of the disk.",
        on="instance",
    ),
    put(
        _PATH,
        limits.change,
        ShownLimits,
        "project:limits:edit",
        "Set what an instance may take, and lease devices to it; at once where it runs.",
        on="instance",
        body=ChangeLimits,
    ),
)
