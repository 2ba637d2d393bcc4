"""The isolation matrix's rows about people and teams, written by hand like those of `tests/isolation_table.py`.

Ids in paths that no team stands behind are of nothing: who is let in is told that in the words of `INSIDE`.
"""

from __future__ import annotations

from typing import Any

from appliance.web.routes.rows import API
from tests.isolation_table import A, D, O, Row, V

# What only somebody hears who was let in.
INSIDE = (
    "There is no such user.",
    "There is no user ",
    "There is no such member of the team.",
    "There is no such invitation ",
    "There is no such notification of yours.",
    "There is no such token of yours.",
    "There is no such type of teams.",
)


def _all(*, read: bool = False, account: bool = False, body: Any = None) -> Row:
    """Everybody who is signed in; `account`: but no token that is narrowed to teams."""
    return Row(role=type(A).NONE, read=read, account=account, body=body)


def _admin(*, read: bool = False, body: Any = None) -> Row:
    return Row(role=A, read=read, body=body)


def _team(role: Any, *, read: bool = False, body: Any = None, of: str = "team") -> Row:
    return Row(role=role, of=of, read=read, body=body)


_ME = {
    "PUT /user": _all(account=True, body={}),
    "PUT /user/change_password": _all(account=True, body={"old_password": "not it", "password": "neither"}),
    "GET /user/permissions": _all(read=True),
    "GET /user/tokens": _all(read=True, account=True),
    "DELETE /user/tokens/{id}": _all(account=True),
    "GET /user/invitations": _all(read=True, account=True),
    "PATCH /user/invitations/{id}": _all(account=True),
    "DELETE /user/invitations/{id}": _all(account=True),
    "GET /user/notifications": _all(read=True, account=True),
    "PUT /user/notifications": _all(account=True, body={"ids": ["nowhere123"]}),
    "PUT /user/notifications/{id}": _all(account=True, body={"read": True}),
    "DELETE /user/notifications/{id}": _all(account=True),
}
_USERS = {
    "GET /users": _admin(read=True),
    "POST /users": _admin(body={"name": "x", "username": "NOT ONE", "password": "x"}),
    "GET /users/{id}": _admin(read=True),
    "PUT /users/{id}": _admin(body={}),
    "DELETE /users/{id}": _admin(),
    "GET /users/{id}/teams": _admin(read=True),
}
_TEAMS = {
    "POST /teams": _admin(body={"name": "Team {n}"}),
    "POST /teams/check-slug": _all(account=True, body={"slug": "free-{n}"}),
    "PUT /teams/{id}": _team(O, body={}),
    "DELETE /teams/{id}": _team(O),
    "GET /teams/{id}/instance-counts": _team(D, read=True),
    "POST /teams/{id}/comms-credentials": _team(D),
    "GET /teams/{id}/members": _team(V, read=True),
    "POST /teams/{id}/members": _team(A, body={"user": "nobody-at-all"}),
    "PUT /teams/{id}/members/{user}": _team(O, body={"role": 30}),
    "DELETE /teams/{id}/members/{user}": _team(O),
    "GET /teams/{id}/invitations": _team(O),
    "POST /teams/{id}/invitations": _team(O, body={"user": "nobody-at-all"}),
    "POST /teams/{id}/invitations/{invitation}": _team(O),
    "DELETE /teams/{id}/invitations/{invitation}": _team(O),
    "GET /teams/{id}/audit-log/export": _team(O, read=True),
    "GET /applications/{id}/audit-log": _team(O, read=True, of="application"),
    "GET /applications/{id}/audit-log/export": _team(O, read=True, of="application"),
    "GET /projects/{id}/audit-log/export": _team(V, read=True, of="instance"),
}
_PLATFORM = {
    "PUT /settings": _admin(body={}),
    "GET /admin/stats": _admin(read=True),
    "POST /admin/stats-token": _admin(),
    "DELETE /admin/stats-token": _admin(),
    "GET /admin/license": _admin(read=True),
    "PUT /admin/license": _admin(body={"license": "x", "action": "apply"}),
    "GET /admin/invitations": _admin(read=True),
    "GET /admin/audit-log": _admin(read=True),
    "GET /admin/audit-log/export": _admin(read=True),
    "POST /admin/announcements": _admin(body={"title": "t", "message": "m", "mock": True}),
    "GET /team-types": _all(read=True),
    "GET /team-types/{id}": _all(read=True),
    "POST /team-types": _admin(body={"name": ""}),
    "PUT /team-types/{id}": _admin(body={}),
    "DELETE /team-types/{id}": _admin(),
}

PEOPLE: dict[str, Row] = {
    key.replace(" ", f" {API}", 1): row for rows in (_ME, _USERS, _TEAMS, _PLATFORM) for key, row in rows.items()
}
# Whoever may, is gone afterwards: asked once each, in a test of its own.
LEAVES = f"DELETE {API}/user"
# No token may, not even an administrator's (platform model §12: not-by-PAT, and what is for the console).
ONLY_ON_THE_SOCKET = {
    f"POST {API}/user/tokens": {"name": "more"},
    f"PUT {API}/user/tokens/{{id}}": {},
    f"POST {API}/users/{{id}}/tokens": {"name": "more"},
    f"POST {API}/users/{{id}}/reset-password": None,
}
