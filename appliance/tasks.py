"""Background tasks that are named, held and heard: the loop itself holds tasks only weakly
(https://github.com/python/cpython/issues/88831)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any

log = logging.getLogger(__name__)


class Tasks:
    """Owns background tasks. `close()` cancels all and waits for them."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, name: str, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run once; an exception is logged, never lost."""
        task = asyncio.create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def keep(self, name: str, make: Callable[[], Coroutine[Any, Any, Any]]) -> asyncio.Task[Any]:
        """Run for ever: when it fails it is logged and started again after 1 s, doubling up to 30 s."""
        return self.start(name, self._forever(name, make))

    async def close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task %s failed", task.get_name(), exc_info=error)

    async def _forever(self, name: str, make: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        pause_s = 1.0
        while True:
            try:
                await make()
                pause_s = 1.0
            except Exception:  # noqa: BLE001 - the task supervisor is one of the four boundaries
                log.exception("task %s failed; again in %.0f s", name, pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(30.0, pause_s * 2)
