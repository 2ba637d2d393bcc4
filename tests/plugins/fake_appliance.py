"""An appliance as Node-RED's plugins see it: storage, audit and the OAuth provider, with faults on demand."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

from aiohttp import web

INSTANCE = "7d3f0a52-6b1e-4a8e-9f57-0d2a4c1b9e11"
TEAM = "Team123456"


class FakeAppliance:
    """Answers on one port, can go away and come back; everything it was told is in its attributes."""

    def __init__(self) -> None:
        self.stored: dict[str, Any] = {"flows": [], "credentials": {}, "settings": {}, "sessions": {}}
        self.library: dict[tuple[str, str], Any] = {}
        self.requests: list[tuple[str, str]] = []
        self.write_ids: dict[str, list[str]] = {}
        self.users_seen: list[str | None] = []
        self.audit: list[dict[str, Any]] = []
        self.audit_raw: list[bytes] = []
        self.failing: dict[str, int] = {}
        self.refuse: dict[str, tuple[int, dict[str, str]]] = {}
        self.scope: dict[str, str] = {"alice": "*", "victor": "read"}
        self.refresh_has_scope = True
        self.lifetime_s = 1800
        self.refused_users: set[str] = set()
        self.http_tokens: set[str] = set()
        self.checks = 0
        self.refreshes = 0
        self.codes: dict[str, dict[str, str]] = {}
        self.refresh_tokens: dict[str, str] = {}
        self.access_tokens: dict[str, str] = {}
        self.port = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self.come_back()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.go_away()

    async def come_back(self) -> None:
        app = web.Application(client_max_size=64 << 20)
        app.add_routes(
            [
                web.get("/storage/{id}/library/{type}", self._library_get),
                web.post("/storage/{id}/library/{type}", self._library_post),
                web.get("/storage/{id}/{what}", self._get),
                web.post("/storage/{id}/{what}", self._post),
                web.post("/logging/{id}/audit", self._audit),
                web.post("/account/token", self._token),
                web.get("/account/check/http/{id}", self._check_http),
                web.get("/api/v1/user", self._user),
                web.get("/api/v1/teams/{team}/user", self._membership),
            ]
        )
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        server = site._server
        assert server is not None
        self.port = server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]

    async def go_away(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def authorize(self, location: str, user: str) -> str:
        """What the browser of `user` does at the platform: the redirect back, for a redirect to `authorize`."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
        assert query["response_type"] == "code"
        assert query["client_id"] == "ffp_client"
        assert query["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        self.codes[code] = {**query, "user": user}
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    async def _check_http(self, request: web.Request) -> web.Response:
        assert request.match_info["id"] == INSTANCE
        self.checks += 1
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        user = self.access_tokens.get(token)
        good = token in self.http_tokens or (user is not None and user not in self.refused_users)
        return web.Response(status=200 if good else 401)

    # -- storage ---------------------------------------------------------------------------------------------

    def _check(self, request: web.Request, what: str) -> None:
        self.requests.append((request.method, what))
        assert request.match_info["id"] == INSTANCE
        if request.headers.get("Authorization") != "Bearer fft_secret-of-node-red":
            raise web.HTTPUnauthorized(text='{"code":"unauthorized"}')
        if self.failing.get(what, 0) > 0:
            self.failing[what] -= 1
            raise web.HTTPServiceUnavailable(text='{"code":"unavailable","error":"restarting"}')

        if what in self.refuse:
            status, answer = self.refuse[what]
            errors = {401: web.HTTPUnauthorized, 409: web.HTTPConflict, 507: web.HTTPInsufficientStorage}
            raise errors[status](text=json.dumps(answer))

    async def _get(self, request: web.Request) -> web.Response:
        what = request.match_info["what"]
        self._check(request, what)
        return web.json_response(self.stored[what])

    async def _post(self, request: web.Request) -> web.Response:
        what = request.match_info["what"]
        self.write_ids.setdefault(what, []).append(request.headers["x-weir-request"])
        body = await request.read()
        self._check(request, what)
        if what == "flows":
            self.users_seen.append(request.headers.get("ff-user"))
        self.stored[what] = json.loads(body)
        return web.Response(body=body, content_type="application/json")

    async def _library_get(self, request: web.Request) -> web.Response:
        kind, name = request.match_info["type"], request.query["name"]
        self._check(request, "library")
        entry = self.library.get((kind, name))
        if entry is None:
            return web.json_response(
                [{"fn": n.rsplit("/", 1)[-1]} for k, n in self.library if k == kind and n.startswith(name)]
            )
        if kind == "flows":
            return web.json_response(json.loads(entry))
        return web.Response(text=entry, content_type="text/plain")

    async def _library_post(self, request: web.Request) -> web.Response:
        self._check(request, "library")
        body = await request.json()
        self.library[request.match_info["type"], body["name"]] = body["body"]
        return web.Response(status=201)

    async def _audit(self, request: web.Request) -> web.Response:
        body = await request.read()
        self._check(request, "audit")
        self.audit_raw.append(body)
        self.audit.append(json.loads(body))
        return web.Response()

    # -- accounts --------------------------------------------------------------------------------------------

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        if form["client_id"] != "ffp_client" or form["client_secret"] != "secret-of-the-oauth-client":
            return web.json_response({"error": "invalid_request"}, status=400)
        if form["grant_type"] == "refresh_token":
            self.refreshes += 1
            user = self.refresh_tokens.pop(str(form["refresh_token"]), None)
        else:
            user = self._redeem(form)
        if user is None or user in self.refused_users:
            return web.json_response({"error": "access_denied", "description": "no access"}, status=400)
        return web.json_response(self._grant(user, with_scope=form["grant_type"] != "refresh_token"))

    def _redeem(self, form: Any) -> str | None:
        asked = self.codes.pop(str(form["code"]), None)
        digest = hashlib.sha256(str(form["code_verifier"]).encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if asked is None or asked["redirect_uri"] != form["redirect_uri"]:
            return None
        return asked["user"] if asked["code_challenge"] == challenge else None

    def _grant(self, user: str, with_scope: bool) -> dict[str, Any]:
        access, refresh = (f"ffu_{secrets.token_urlsafe(16)}" for _ in range(2))
        self.access_tokens[access] = user
        self.refresh_tokens[refresh] = user
        grant = {"access_token": access, "refresh_token": refresh, "expires_in": self.lifetime_s}
        if with_scope or self.refresh_has_scope:
            grant["scope"] = self.scope[user]
        return grant

    def _bearer(self, request: web.Request) -> str:
        user = self.access_tokens.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if user is None:
            raise web.HTTPUnauthorized(text='{"code":"unauthorized"}')
        return user

    async def _user(self, request: web.Request) -> web.Response:
        user = self._bearer(request)
        return web.json_response(
            {"id": f"id-of-{user}", "username": user, "name": user.title(), "email": "", "avatar": ""}
        )

    async def _membership(self, request: web.Request) -> web.Response:
        role = {"*": 30, "read": 10}.get(self.scope[self._bearer(request)], 0)
        return web.json_response({"role": role, "permissions": {}})
