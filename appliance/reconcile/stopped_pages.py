"""Keeps the page that nginx shows in place of an instance: written anew whenever its state changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from appliance.events import Event
from appliance.schema.instances import InstanceStatus

log = logging.getLogger(__name__)

# instance id, name, state, reason, message
Render = Callable[[str, str, str, str, str], None]


class StoppedPages:
    """Listens to the bus and writes off the loop; of several changes only the last is written."""

    def __init__(self, render: Render, remove: Callable[[str], None]) -> None:
        self._render = render
        self._remove = remove
        self._waiting: dict[str, InstanceStatus | None] = {}
        self._wake = asyncio.Event()

    def hear(self, event: Event) -> None:
        if event.kind == "instance.state" and isinstance(event.body, InstanceStatus):
            self._put(event.key, event.body)
        elif event.kind == "instance.removed":
            self._put(event.key, None)

    async def run(self) -> None:
        """Write for ever what was heard."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                instance_id = next(iter(self._waiting))
                status = self._waiting.pop(instance_id)
                try:
                    await asyncio.to_thread(self._write, instance_id, status)
                except OSError as error:
                    log.warning("the page of instance %s can't be written: %s", instance_id, error)

    def _put(self, instance_id: str, status: InstanceStatus | None) -> None:
        self._waiting[instance_id] = status
        self._wake.set()

    def _write(self, instance_id: str, status: InstanceStatus | None) -> None:
        if status is None:
            self._remove(instance_id)
        else:
            meta = status.meta
            self._render(instance_id, status.name, meta.state, meta.reason, meta.message)
