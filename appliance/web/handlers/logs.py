"""The console of an instance: pages of it, and the live stream. Both come from its launcher."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from appliance.errors import Invalid, NotFound, Unavailable
from appliance.launcher_client import StreamEvent
from appliance.model import Desired, InstanceSpec
from appliance.schema.common import LogQuery, LogStreamQuery
from appliance.schema.instances import LogPage
from appliance.web.lasting import while_allowed
from appliance.web.logpage import inclusive, page_of
from appliance.web.route import Ask
from appliance.web.services import Services
from appliance.web.sse import EventStream

PERMISSION = "project:log"


async def page(services: Services, ask: Ask[LogQuery, None]) -> LogPage:
    """Entries oldest first: the last ones, or those after (with `-` before) the cursor."""
    spec = await placed(services, ask.id)
    asked = ask.query.cursor
    answer = await services.launchers.logs(spec, cursor=inclusive(asked), limit=ask.query.limit)
    return page_of(answer.meta, answer.log, asked)


async def follow(services: Services, ask: Ask[LogStreamQuery, None]) -> web.StreamResponse:
    """The launcher's own stream, passed on; it goes on after Last-Event-ID or `cursor`. Ends when the launcher goes
    away, so that the client comes back with the id of the last entry it has, and when he may not read it any more."""
    spec = await placed(services, ask.id)
    cursor = inclusive(ask.header("Last-Event-ID") or ask.query.cursor)
    stream = EventStream(ask.request)
    async with services.launchers.stream(spec, cursor=cursor) as events:
        await stream.open()
        # The client or the launcher left: nothing can be said on a stream that has begun.
        with contextlib.suppress(ConnectionError, Unavailable):
            await pass_on(services, ask, PERMISSION, events, stream)
    return stream.response


async def pass_on(
    services: Services, ask: Ask[Any, None], permission: str, events: AsyncIterator[StreamEvent], stream: EventStream
) -> None:
    """A launcher's events to a client, for as long as he may have them. Raises ConnectionError, Unavailable."""
    await while_allowed(services, ask, permission, _pass_all(events, stream))


async def _pass_all(events: AsyncIterator[StreamEvent], stream: EventStream) -> None:
    async for event in events:
        if event.event == "keepalive":
            await stream.keepalive()
        else:
            await stream.send(event.event, event.data.encode(), id=event.id or None)


async def placed(services: Services, instance_id: str) -> InstanceSpec:
    """The instance with its launcher's address. Raises NotFound, Invalid `project_suspended` when it has none."""
    spec = await services.instances.spec(instance_id)
    if spec is None:
        raise NotFound("there is no such instance")
    if spec.desired is Desired.SUSPENDED:
        raise Invalid(
            "the instance is suspended: it has no launcher that could be asked",
            code="project_suspended",
            hint=f"Start it first: weir instance start {spec.name}",
        )
    return spec
