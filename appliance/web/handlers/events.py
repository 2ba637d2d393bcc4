"""The live stream of what happens to instances."""

from __future__ import annotations

import contextlib

from aiohttp import web

from appliance.events import Event
from appliance.model import Role
from appliance.web.lasting import still_there
from appliance.web.route import Ask
from appliance.web.services import Services
from appliance.web.sse import KEEPALIVE_S, EventStream


async def follow(services: Services, ask: Ask[None, None]) -> web.StreamResponse:
    """Events that the subject may see. A stream that can't go on where it was begins with `reset` and everything."""
    stream = EventStream(ask.request)
    await stream.open()
    with contextlib.suppress(ConnectionError):  # the client left; the stream ends with it
        await _Follower(services, ask, stream).run(ask.header("Last-Event-ID"))
    return stream.response


class _Follower:
    """One client's place in the feed."""

    def __init__(self, services: Services, ask: Ask[None, None], stream: EventStream) -> None:
        self._services = services
        self._feed = services.feed
        self._ask = ask
        self._subject = ask.subject
        self._stream = stream

    async def run(self, last_id: str | None) -> None:
        position = self._feed.position_after(last_id)
        if position is None:
            position = await self._reset()
        while not self._feed.closed and not self._stream.gone and await self._recognised():
            if not await self._feed.wait(position, KEEPALIVE_S):
                await self._stream.keepalive()
                continue
            events = self._feed.after(position)
            if events is None:
                position = await self._reset()
                continue
            for number, event in events:
                await self._send(number, event)
                position = number + 1

    async def _recognised(self) -> bool:
        """Whether the client is still let in; what he may see is then judged by what he is now."""
        subject = await still_there(self._services, self._ask)
        self._subject = subject or self._subject
        return subject is not None

    async def _reset(self) -> int:
        position = self._feed.position  # before the list: an event in between is then told twice, not lost
        everything = await self._services.instances.list(self._subject)
        await self._stream.send("reset", everything, id=self._feed.id_of(position - 1))
        return position

    async def _send(self, number: int, event: Event) -> None:
        if await self._may_see(event):
            # Only administrators see problems of the box as they come; `problem.cleared` names its key as `id`.
            data = {"id": event.key} if event.body is None else event.body
            await self._stream.send(event.kind, data, id=self._feed.id_of(number))

    async def _may_see(self, event: Event) -> bool:
        subject = self._subject
        if event.team_id is None:
            return subject.admin and subject.team_ids is None
        if subject.team_ids is not None and event.team_id not in subject.team_ids:
            return False
        return await self._services.teams.role(event.team_id, subject) >= Role.DASHBOARD
