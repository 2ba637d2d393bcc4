"""Is the event loop of Node-RED wedged? A fallback: that it runs at all is told over the control channel."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from launcher import http

INTERVAL_S = 15.0
FAILURES = 3


async def answers(url: str, timeout_s: float) -> bool:
    """Any HTTP answer counts: a closed editor answers 404, a protected one 401."""
    try:
        await http.request("HEAD", url, timeout_s=timeout_s, body_limit=65536)
    except http.Unreachable:
        return False
    return True


async def watch(
    probe: Callable[[], Awaitable[bool]], *, interval_s: float = INTERVAL_S, failures: int = FAILURES
) -> None:
    """Returns after `failures` probes in a row were not answered; for ever silent while they are."""
    missed = 0
    while missed < failures:
        await asyncio.sleep(interval_s)
        missed = 0 if await probe() else missed + 1
