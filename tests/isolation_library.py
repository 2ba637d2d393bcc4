"""The isolation matrix's rows about the library of a team, written by hand like those of `tests/isolation_table.py`."""

from __future__ import annotations

from typing import Any

from appliance.web.routes.rows import API
from tests.isolation_table import M, Row

# What only somebody hears who was let in.
INSIDE = ("There is nothing called ",)
_SHARED = "/storage/library/{id}"


def _member(*, read: bool = False, body: Any = None) -> Row:
    return Row(role=M, of="team", read=read, body=body)


def _shared(*, read: bool = False, body: Any = None, editors: int = 0) -> Row:
    """`editors`: what Node-RED of an instance of the team is told, 0 for being let in."""
    return Row(role=M, of="team", read=read, body=body, also={"node_red": editors, "published": editors})


_ENTRY = {"name": "a{n}", "type": "functions", "body": "return msg;"}
LIBRARY: dict[str, Row] = {
    f"GET {API}/teams/{{id}}/library": _member(read=True),
    f"GET {API}/teams/{{id}}/library/entry": _member(read=True),
    f"POST {API}/teams/{{id}}/library": _member(body=_ENTRY),
    f"PUT {API}/teams/{{id}}/library": _member(body={"name": "nothing", "to": "b"}),
    f"DELETE {API}/teams/{{id}}/library": _member(),
    f"GET {_SHARED}": _shared(read=True),
    f"POST {_SHARED}": _shared(body=_ENTRY),
    f"DELETE {_SHARED}": _shared(editors=403),
    f"GET {_SHARED}/{{path:.+}}": _shared(read=True),
    f"POST {_SHARED}/{{path:.+}}": _shared(body={"type": "functions", "body": "return msg;"}),
    f"DELETE {_SHARED}/{{path:.+}}": _shared(editors=403),
}
