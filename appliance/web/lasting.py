"""What begins with a right and lasts, such as streams and shells: it ends when the right is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from appliance.errors import Forbidden, NotFound, Unauthorized
from appliance.model import Subject
from appliance.web.access import Access
from appliance.web.route import Ask
from appliance.web.services import Services

LOOK_S = 10.0  # for what nobody tells of, such as a token whose time is over


async def still_there(services: Services, ask: Ask[Any, Any]) -> Subject | None:
    """Who is asking, as the box knows him now; None when what he came with is good no more. On api.sock without a
    token: whoever the kernel said that it was."""
    if not ask.bearer:
        return ask.subject
    try:
        return await services.tokens.verify(ask.bearer)
    except Unauthorized:
        return None


async def while_allowed(
    services: Services, ask: Ask[Any, Any], permission: str, *work: Coroutine[Any, Any, None]
) -> None:
    """Run all of `work` until the first of it ends, the box ends, or whoever asks may not do `permission` to the
    instance any more. Raises what ended the work."""
    running = [asyncio.create_task(each) for each in work]
    tasks = [*running, asyncio.create_task(_until_refused(services, ask, permission))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for each in ended:
        if isinstance(each, Exception):
            raise each


async def _until_refused(services: Services, ask: Ask[Any, Any], permission: str) -> None:
    """Returns when the right is gone, at once where that is told, and when the box ends."""
    access = Access(services)
    while not services.feed.closed:
        told = services.feed.revocations  # before the look: what is told during it counts
        subject = await still_there(services, ask)
        if subject is None:
            return
        try:
            await access.check_again(permission, ask.id, subject)
        except (Forbidden, NotFound):
            return
        await services.feed.revoked(told, LOOK_S)
