"""Who may look after the box, written by hand: a part of the table of the isolation matrix."""

from __future__ import annotations

from appliance.model import Role
from appliance.web.routes import API
from tests.isolation_table import A, Row

OPERATIONS: dict[str, Row] = {
    f"GET {API}/box/maintenance": Row(role=Role.NONE, read=True),
    f"PUT {API}/box/maintenance": Row(role=A, body={"on": False}),
    f"GET {API}/box/wear": Row(role=Role.NONE, read=True),
    f"GET {API}/box/alerts": Row(role=A, read=True),
    f"POST {API}/box/alerts/test": Row(role=A),
    "GET /metrics": Row(role=A, read=True),
}
# What those who are let in read, as the box of the test is.
INSIDE = ("The metrics are not shown to the network.",)
