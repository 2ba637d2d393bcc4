"""Rows of the route table: what launchers and the plugins in Node-RED call, but for the storage."""

from __future__ import annotations

from typing import Any

from appliance.schema.common import Status
from appliance.schema.instances import (
    BootGrant,
    BootRequest,
    UpdateState,
)
from appliance.web.handlers import launchers
from appliance.web.plugin import logging
from appliance.web.route import MEGABYTE, Route
from appliance.web.routes.rows import delete, get, post

LAUNCHERS = (
    post(
        "/launchers/boot",
        launchers.boot,
        BootGrant,
        None,
        "Trade a boot ticket for what a launcher needs.",
        auth="public",
        body=BootRequest,
    ),
    get(
        "/projects/{id}/settings",
        launchers.settings,
        dict[str, Any],
        None,
        "All that a launcher starts its Node-RED with.",
        auth="launcher",
    ),
    get(
        "/projects/{id}/files",
        launchers.files,
        bytes,
        None,
        "The files of a restored instance, which its launcher puts in place.",
        auth="launcher",
        stream=True,
        media="application/x-tar",
    ),
    delete(
        "/projects/{id}/files",
        launchers.files_taken,
        Status,
        None,
        "The launcher has put the files of the restored instance in place.",
        auth="launcher",
    ),
    post(
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
