"""The route table: each row can be served, is guarded, and is documented."""

from __future__ import annotations

import inspect
import re
import typing

import msgspec
import pytest

from appliance.auth.permissions import PERMISSIONS
from appliance.schema.common import Wire
from appliance.web.openapi import operation_id
from appliance.web.route import Route
from appliance.web.routes import API, ROUTES

NAMED = [pytest.param(route, id=f"{route.method} {route.path}") for route in ROUTES]
# Routes without a permission, each with the reason in its row's `auth`.
OPEN = {"public", "anyone", "browser", "bearer", "launcher", "node_red", "instance"}


@pytest.mark.parametrize("route", NAMED)
def test_every_route_says_who_may(route: Route) -> None:
    if route.auth in ("api", "library"):
        assert route.permission in PERMISSIONS
    else:
        assert route.auth in OPEN
        assert route.permission is None


@pytest.mark.parametrize("route", NAMED)
def test_reads_have_read_permissions_and_writes_have_not(route: Route) -> None:
    """Otherwise a read-only token could change something, or could not read."""
    if route.permission is None or route.permission == "project:check-name":
        return
    if route.permission == "team:user:invite" and route.method == "GET":
        return  # the reference lets those see invitations who may invite (platform model §12)
    if route.permission == "project:shell":
        return  # a WebSocket begins with GET, and a shell changes things
    assert PERMISSIONS[route.permission].read is (route.method == "GET")


@pytest.mark.parametrize("route", NAMED)
def test_every_route_has_a_documented_answer(route: Route) -> None:
    assert route.summary.endswith(".")
    if route.response is None:
        assert route.status in (200, 201, 204)
    elif isinstance(route.response, type) and issubclass(route.response, msgspec.Struct):
        assert issubclass(route.response, Wire) or route.response.__module__.startswith("appliance.schema")


@pytest.mark.parametrize("route", NAMED)
def test_the_permission_is_asked_on_something_the_path_names(route: Route) -> None:
    parameters = set(re.findall(r"{(\w+)}", route.path))
    if route.on == "query":
        assert route.query is not None and "team" in route.query.__struct_fields__
    needed = {"none": set(), "body": set(), "query": set(), "team_slug": {"slug"}}.get(route.on, {"id"})
    assert needed <= parameters
    if route.auth in ("launcher", "node_red", "instance"):
        assert "id" in parameters


@pytest.mark.parametrize("route", NAMED)
def test_handlers_take_what_the_row_decodes(route: Route) -> None:
    """Ask[Query, Body] of the handler's annotation is the row's query and body."""
    assert inspect.iscoroutinefunction(route.handler)
    hints = inspect.get_annotations(route.handler)
    assert set(hints) - {"return"} == {"services", "ask"}
    wanted = re.fullmatch(r"Ask\[(\w+), ([\w\[\], ]+)\]", str(hints["ask"]))
    if wanted is None:
        assert hints["ask"] == "BrowserAsk" and route.auth == "browser"
        return
    assert wanted[1] == (route.query.__name__ if route.query else "None")
    body = {None: "None", bytes: "bytes", dict: "dict[str, str]"}.get(route.body) or route.body.__name__
    assert wanted[2] == body


def test_paths_and_operations_are_unique() -> None:
    rows = [(route.method, route.path) for route in ROUTES]
    assert len(set(rows)) == len(rows)
    ids = [operation_id(route) for route in ROUTES]
    assert len(set(ids)) == len(ids), sorted(i for i in ids if ids.count(i) > 1)


def test_only_these_routes_ask_nobody() -> None:
    """A new public route is a decision: it has to be written here."""
    assert {f"{r.method} {r.path}" for r in ROUTES if r.auth == "public"} == {
        "GET /avatar/{name}",  # holds nothing but the name in its own path
        "GET /healthz",
        "GET /ca.crt",
        "GET /assets/weir.css",
        "GET /assets/api.js",
        "GET /api/",
        "GET /api/openapi.json",
        f"GET {API}/openapi.json",
        f"POST {API}/launchers/boot",
        f"POST {API}/ssh/session",
        "POST /account/token",
        # Refused, or allowed by a code or a setting; nothing of theirs rests on a cookie.
        "POST /account/forgot_password",
        "POST /account/register",
        "POST /account/login/token",
        "POST /account/verify",
        "POST /account/verify/token",
        "POST /account/email_change/{token}",
        "POST /account/reset_password/{token}",
    }


def test_the_session_cookie_opens_pages_only() -> None:
    assert all(r.path == "/" or r.path.startswith("/account/") for r in ROUTES if r.auth == "browser")
    assert not any(r.path.startswith("/api") for r in ROUTES if r.auth == "browser")


def test_query_structs_are_plain() -> None:
    for route in ROUTES:
        if route.query is not None:
            for name, kind in typing.get_type_hints(route.query).items():
                assert "dict" not in str(kind), (route.path, name)
