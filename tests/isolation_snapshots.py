"""The isolation matrix's rows about snapshots and HTTP tokens, written by hand."""

from __future__ import annotations

from typing import Any

from appliance.web.routes.rows import API
from tests.isolation_table import M, O, Row, V

# What only somebody hears who was let in, and came too late.
INSIDE = ("There is no such snapshot.", "There is no such HTTP token.")
_FILE = {"name": "s{n}", "flows": {"flows": []}, "settings": {}}
_IMPORT = {"ownerId": "{instance}", "ownerType": "instance", "snapshot": _FILE}


def _of(role: Any, *, read: bool = False, body: Any = None) -> Row:
    return Row(role=role, of="instance", read=read, body=body)


def _one(role: Any, *, read: bool = False, body: Any = None) -> Row:
    return Row(role=role, of="snapshot", read=read, body=body)


_ROWS = {
    "GET /projects/{id}/snapshots": _of(V, read=True),
    "POST /projects/{id}/snapshots": _of(M, body={"name": "s{n}"}),
    "GET /projects/{id}/snapshots/{snapshot}": _of(V, read=True),
    "POST /projects/{id}/snapshots/{snapshot}/export": _of(M, body={"credentialSecret": "x"}),
    "POST /projects/{id}/actions/rollback": _of(M, body={"snapshot": "{snapshot}"}),
    "GET /applications/{id}/snapshots": Row(role=V, of="application", read=True),
    "GET /snapshots/{id}": _one(V, read=True),
    "GET /snapshots/{id}/full": _one(M, read=True),
    "PUT /snapshots/{id}": _one(O, body={"name": "s{n}"}),
    "POST /snapshots/{id}/export": _one(M, body={"credentialSecret": "x"}),
    "POST /snapshots/import": _of(O, body=_IMPORT),
    # Last: what is deleted stays so.
    "DELETE /projects/{id}/snapshots/{snapshot}": _of(O),
    "DELETE /snapshots/{id}": _one(O),
}
_ROWS |= {
    "GET /projects/{id}/httpTokens": _of(O, read=True),
    "POST /projects/{id}/httpTokens": _of(O, body={"name": "h{n}"}),
    "PUT /projects/{id}/httpTokens/{token}": _of(O, body={"name": "h{n}"}),
    "DELETE /projects/{id}/httpTokens/{token}": _of(O),
}
SNAPSHOTS = {key.replace(" ", f" {API}"): row for key, row in _ROWS.items()}
