"""The isolation matrix's rows about what instances are made of, and about applications; written by hand like those of
`tests/isolation_table.py`."""

from __future__ import annotations

from typing import Any

from appliance.model import Role
from appliance.web.routes.rows import API
from tests.isolation_table import A, D, O, Row, V


def _admin(of: str = "", body: Any = None) -> Row:
    return Row(role=A, of=of, body=body)


def _in_team(role: Role, of: str, *, read: bool = False, body: Any = None) -> Row:
    return Row(role=role, of=of, read=read, body=body)


# What is there is used: nothing of it can be removed by those who may.
_CATALOGUE = {
    "POST /stacks": _admin(body={"name": ""}),
    "PUT /stacks/{id}": _admin("stack", {}),
    "DELETE /stacks/{id}": _admin("stack"),
    "POST /templates": _admin(body={"name": "", "settings": {}, "policy": {}}),
    "PUT /templates/{id}": _admin("template", {}),
    "DELETE /templates/{id}": _admin("template"),
    "POST /project-types": _admin(body={"name": ""}),
    "PUT /project-types/{id}": _admin("type", {}),
    "DELETE /project-types/{id}": _admin("type"),
}
_APPLICATIONS = {
    "PUT /applications/{id}": _in_team(O, "application", body={}),
    "DELETE /applications/{id}": _in_team(O, "application"),
    "GET /applications/{id}/instances/status": _in_team(V, "application", read=True),
    "GET /applications/{id}/dashboard-instances": _in_team(D, "application", read=True),
    "GET /applications/{id}/devices": _in_team(V, "application", read=True),
    "GET /teams/{id}/applications/status": _in_team(V, "team", read=True),
    "GET /teams/{id}/dashboard-instances": _in_team(D, "team", read=True),
    "POST /projects/{id}/import": _in_team(O, "instance", body={"flows": "[]"}),
    "POST /projects/{id}/actions/restartStack": _in_team(O, "instance"),
}

CATALOGUE: dict[str, Row] = {
    key.replace(" ", f" {API}", 1): row for rows in (_CATALOGUE, _APPLICATIONS) for key, row in rows.items()
}
