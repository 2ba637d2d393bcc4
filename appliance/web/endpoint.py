"""From a row of the route table to an aiohttp handler: who asks, may he, what did he say, do it, answer."""

from __future__ import annotations

import asyncio

from aiohttp import web

from appliance.errors import Invalid, WrongType
from appliance.web import answers, bodies
from appliance.web.access import Access
from appliance.web.browser import Browsers
from appliance.web.budget import Budget, Hold
from appliance.web.identity import Caller, Identity, caller
from appliance.web.route import Ask, Route
from appliance.web.services import Services

DEADLINE_S = 90  # longer than a body may take to arrive


class Endpoint:
    """Serves one route. Errors are raised to the boundary in `middleware.py`."""

    def __init__(self, route: Route, services: Services, browsers: Browsers, budget: Budget) -> None:
        self._route = route
        self._budget = budget
        self._services = services
        self._identity = Identity(services)
        self._access = Access(services)
        self._browsers = browsers
        self._sockets = (str(services.home.api_socket), str(services.home.web_socket))

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if self._route.stream:
            return await self._serve(request)
        async with asyncio.timeout(DEADLINE_S):
            return await self._serve(request)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        with self._budget.hold() as hold:
            ask = await self._ask(request, caller(request, *self._sockets), hold)
            result = await self._route.handler(self._services, ask)
            return answers.answer(self._route, result)

    async def _ask(self, request: web.Request, by: Caller, hold: Hold) -> Ask[object, object]:
        route = self._route
        if "Content-Encoding" in request.headers:
            raise WrongType("compressed bodies are not taken", hint="Send the body as it is.")
        # Rights come before the body: nobody makes us read ten megabytes without a token.
        subject = await self._identity.subject(request, route, by.door)
        params = await self._access.check(route, subject, _params(request))
        body = await bodies.decode(request, route, hold.of(subject.instance_id or subject.user_id or ""))
        if route.on == "body":
            body = await self._access.check_body(route, subject, body)
        query = bodies.query(request, route)
        if route.on == "query":
            await self._access.check_query(route, subject, query)
        ask = Ask(subject, params, query, body, request, by.origin, by.address)
        return await self._browsers.check(route, ask, by) if route.auth == "browser" else ask


def _params(request: web.Request) -> dict[str, str]:
    params = dict(request.match_info)
    for name, value in params.items():
        if name == "path":
            continue  # a path inside a library: `services.team_library` says what may be in it
        if not value.isprintable() or len(value) > 255:
            raise Invalid(f"the path's {name} is not a name or an id")
    return params
