"""The aiohttp application, built from the route table."""

from __future__ import annotations

from aiohttp import web

from appliance.web.browser import Browsers
from appliance.web.budget import Budget
from appliance.web.endpoint import Endpoint
from appliance.web.middleware import add_headers, boundary
from appliance.web.routes import ROUTES
from appliance.web.services import Services

# Deploys of the largest size that are in memory at once: of the box, and of each instance.
DEPLOYS_AT_ONCE = 8
DEPLOYS_EACH = 2


def build(services: Services) -> web.Application:
    """One application for all listeners; which listener a request came in by is read from its connection."""
    app = web.Application(middlewares=[boundary])
    browsers = Browsers(services)
    largest = services.config.limits.json_bytes
    budget = Budget(DEPLOYS_AT_ONCE * largest, DEPLOYS_EACH * largest)
    for route in ROUTES:
        serve = Endpoint(route, services, browsers, budget).serve
        app.router.add_route(route.method, route.path, serve)
        if route.method == "GET" and not route.stream:
            app.router.add_route("HEAD", route.path, serve)
    app.on_response_prepare.append(add_headers)

    async def end_streams(_: web.Application) -> None:
        services.feed.close()

    app.on_shutdown.append(end_streams)
    return app
