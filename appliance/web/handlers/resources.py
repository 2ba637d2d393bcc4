"""What an instance takes of the machine: its history, the live samples, and what its launcher says."""

from __future__ import annotations

import contextlib

from aiohttp import web

from appliance.errors import Unavailable
from appliance.schema.resources import ResourceHistory, ResourceReport, ResourcesQuery, ResourcesStreamQuery
from appliance.web.handlers.logs import pass_on, placed
from appliance.web.route import Ask
from appliance.web.services import Services
from appliance.web.sse import EventStream


async def history(services: Services, ask: Ask[ResourcesQuery, None]) -> ResourceHistory:
    """Samples of every ten seconds, oldest first; seven hours at most, from the start of the launcher."""
    return await services.resources.history(ask.id, since=ask.query.since, limit=ask.query.limit)


async def follow(services: Services, ask: Ask[ResourcesStreamQuery, None]) -> web.StreamResponse:
    """Samples as they come, first those after Last-Event-ID or `since`. Ends when the launcher goes away,
    and when the client may not read them any more."""
    spec = await placed(services, ask.id)
    last = ask.header("Last-Event-ID") or ""
    since = int(last) if last.isascii() and last.isdigit() and len(last) <= 15 else ask.query.since
    stream = EventStream(ask.request)
    async with services.launchers.sample_stream(spec, since=since) as events:
        await stream.open()
        # The client or the launcher left: nothing can be said on a stream that has begun.
        with contextlib.suppress(ConnectionError, Unavailable):
            await pass_on(services, ask, "project:read", events, stream)
    return stream.response


async def report(services: Services, ask: Ask[None, ResourceReport]) -> None:
    await services.resources.report(ask.id, ask.body)
