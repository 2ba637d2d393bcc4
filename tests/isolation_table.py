"""Who may use which route, written by hand from the reference (platform model §2, §3): the table of the isolation
matrix. It is not taken from the route table, so that a row that is changed there by mistake fails the test."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from appliance.model import Role
from appliance.web.routes import API

D, V, M, O, A = Role.DASHBOARD, Role.VIEWER, Role.MEMBER, Role.OWNER, Role.ADMIN  # noqa: E741


class Row(Struct, frozen=True):
    """Who may: users from `role` on (NONE: everybody signed in), or the instance's own `kinds` of token.

    `of` names what the path, or the body, is about; `read`: a read-only token may. `also`: kinds of token of an
    instance that are asked too, and what they are told within its team (0: let in).
    """

    role: Role | None = None
    of: str = ""
    read: bool = False
    kinds: frozenset[str] = frozenset()
    also: dict[str, int] = {}
    editor: bool = False  # an editor's token may, for its own instance's team
    account: bool = False  # about the whole account: no token that is narrowed to teams
    body: Any = None


def _user(role: Role, of: str = "", *, read: bool = False, editor: bool = False, body: Any = None) -> Row:
    return Row(role=role, of=of, read=read, editor=editor, body=body)


def _of_instance(*kinds: str, body: Any = None) -> Row:
    """A published launcher shares one token with its Node-RED: it is good for the routes of both."""
    return Row(of="instance", kinds=frozenset((*kinds, "published")), body=body)


def _stored(kind: str, body: Any) -> dict[str, Row]:
    path = f"/storage/{{id}}/{kind}"
    return {f"GET {path}": _of_instance("node_red"), f"POST {path}": _of_instance("node_red", body=body)}


TABLE: dict[str, Row] = {
    f"GET {API}/user": _user(Role.NONE, read=True, editor=True),
    f"GET {API}/user/teams": _user(Role.NONE, read=True),
    f"GET {API}/teams": _user(A, read=True),
    f"GET {API}/teams/slug/{{slug}}": _user(D, "slug", read=True),
    f"GET {API}/teams/{{id}}": _user(D, "team", read=True),
    f"GET {API}/teams/{{id}}/user": _user(D, "team", read=True, editor=True),
    f"GET {API}/teams/{{id}}/projects": _user(V, "team", read=True),
    f"GET {API}/teams/{{id}}/applications": _user(V, "team", read=True),
    f"GET {API}/search": _user(V, "search", read=True),
    f"GET {API}/search/instances": _user(V, "search", read=True),
    f"GET {API}/teams/{{id}}/audit-log": _user(O, "team", read=True),
    f"POST {API}/applications": _user(O, "team", body={"name": "more", "teamId": "{team}"}),
    f"GET {API}/applications/{{id}}": _user(V, "application", read=True),
    f"GET {API}/applications/{{id}}/instances": _user(V, "application", read=True),
    f"GET {API}/instances": _user(Role.NONE, read=True),
    f"GET {API}/instances/{{id}}": _user(V, "name", read=True),
    f"GET {API}/instances/{{id}}/flows": _user(V, "name", read=True),
    f"POST {API}/projects": _user(O, "application", body={"name": "n{n}", "applicationId": "{application}"}),
    f"POST {API}/projects/check-name": _user(Role.NONE, read=True, body={"name": "free"}),
    f"GET {API}/projects/{{id}}": _user(V, "instance", read=True),
    f"GET {API}/projects/{{id}}/status": _user(D, "instance", read=True),
    f"GET {API}/projects/{{id}}/logs": _user(V, "instance", read=True),
    f"GET {API}/projects/{{id}}/logs/stream": _user(V, "instance", read=True),
    f"GET {API}/projects/{{id}}/audit-log": _user(V, "instance", read=True),
    f"GET {API}/projects/{{id}}/resources": _user(V, "instance", read=True),
    f"GET {API}/projects/{{id}}/resources/stream": _user(V, "instance", read=True),
    f"POST {API}/projects/{{id}}/actions/start": _user(O, "instance"),
    f"POST {API}/projects/{{id}}/actions/stop": _user(O, "instance"),
    f"POST {API}/projects/{{id}}/actions/restart": _user(O, "instance"),
    f"GET {API}/stacks": _user(Role.NONE, read=True),
    f"GET {API}/stacks/{{id}}": _user(Role.NONE, "stack", read=True),
    f"GET {API}/templates": _user(Role.NONE, read=True),
    f"GET {API}/templates/{{id}}": _user(Role.NONE, "template", read=True),
    f"GET {API}/project-types": _user(Role.NONE, read=True),
    f"GET {API}/project-types/{{id}}": _user(Role.NONE, "type", read=True),
    f"GET {API}/box/status": _user(Role.NONE, read=True),
    f"GET {API}/box/tasks": _user(A, read=True),
    f"GET {API}/box/machine": _user(Role.NONE, read=True),
    f"GET {API}/box/broker": _user(Role.NONE, read=True),
    f"GET {API}/box/names": _user(Role.NONE, read=True),
    f"POST {API}/box/names": _user(A, body={"name": "plant{n}.example"}),
    f"DELETE {API}/box/names/{{name}}": _user(A),
    f"GET {API}/events": _user(Role.NONE, read=True),
    f"GET {API}/projects/{{id}}/settings": _of_instance("launcher"),
    f"GET {API}/projects/{{id}}/files": _of_instance("launcher"),
    f"DELETE {API}/projects/{{id}}/files": _of_instance("launcher"),
    f"POST {API}/projects/{{id}}/update-state": _of_instance("launcher", body={"state": "stopped"}),
    f"POST {API}/projects/{{id}}/resources": _of_instance("launcher", body={"sample": {"src": "ab12", "ts": 1}}),
    "POST /logging/{id}/audit": _of_instance("launcher", "node_red", body={"event": "flows.set"}),
    "GET /account/check/{kind}/{owner}": _of_instance("launcher", "node_red"),
    **_stored("flows", []),
    **_stored("credentials", {}),
    **_stored("settings", {}),
    **_stored("sessions", {}),
    **_stored("library/{type}", {"name": "a", "body": "b"}),
    "POST /storage/{id}/deploys": _of_instance("node_red", body={"id": "d{n}", "base": ["x"], "flows": []}),
    f"GET {API}/projects/{{id}}/kept": _user(V, "instance", read=True),
    f"GET {API}/projects/{{id}}/kept/{{kept}}": _user(V, "instance", read=True),
    f"POST {API}/projects/{{id}}/kept/{{kept}}/restore": _user(M, "instance"),
    f"DELETE {API}/projects/{{id}}/kept/{{kept}}": _user(M, "instance"),
    f"POST {API}/projects/{{id}}/actions/restartSafe": _user(O, "instance"),
    f"POST {API}/projects/{{id}}/actions/kill": _user(O, "instance"),
    f"GET {API}/projects/{{id}}/limits": _user(V, "instance", read=True),
    f"GET {API}/projects/{{id}}/shell": _user(O, "instance"),
    f"PUT {API}/projects/{{id}}/limits": _user(A, "instance", body={"tasks": 100}),
    f"POST {API}/projects/{{id}}/shells": _user(A, "instance", body={"account": "root"}),
    # Last: what these do to an instance stays.
    f"POST {API}/projects/{{id}}/actions/suspend": _user(O, "instance"),
    f"PUT {API}/projects/{{id}}": _user(M, "instance", body={"launcherSettings": {"hotSpare": True}}),
    f"DELETE {API}/projects/{{id}}": _user(O, "instance"),
}
