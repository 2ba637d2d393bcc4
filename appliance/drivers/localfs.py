"""Instances as directories and processes of this machine. What runs them is a placer: `units` on an installed box,
`child` without systemd.

Order and idempotence are here; the placer only starts, finds and ends one launcher, and knows where its files are.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from appliance.drivers.base import (
    Capabilities,
    Driver,
    PlacementFailed,
    Report,
    ShellCommand,
    SpecInvalid,
    Unsupported,
)
from appliance.model import InstanceRef, InstanceSpec, Observation, Phase, Placement

T = TypeVar("T")


class Placer(Protocol):
    """Starts, finds and ends the launcher of one directory. Blocking calls run in the driver's executor."""

    async def open(self, on_change: Callable[[str], None]) -> None:
        """Watch all launchers that are already there; `on_change(id)` is called in the loop when one ends. Raises
        OSError."""

    async def close(self) -> None: ...

    def check(self, spec: InstanceSpec) -> None:
        """Raises SpecInvalid for what can never be placed."""

    async def place(self, spec: InstanceSpec, directory: Path) -> Observation:
        """Start a launcher; none of `directory` runs now. Leaves a record first. Raises DriverError."""

    async def end(self, ref: InstanceRef, directory: Path, grace: timedelta) -> None:
        """End the whole process tree of `directory` and forget the record. Raises DriverUnavailable."""

    async def adjust(self, spec: InstanceSpec) -> str:
        """See `Driver.adjust`."""

    async def lacks(self) -> str:
        """See `Driver.lacks`."""

    async def erase(self, ref: InstanceRef, directory: Path) -> None:
        """Remove the instance's data; nothing of it runs. Idempotent. Raises DriverUnavailable."""

    def observe(self, ref: InstanceRef, directory: Path) -> Observation: ...

    def list(self) -> Sequence[str]:
        """Ids with a record."""


class LocalFs(Driver):
    """See `Driver`; every clause holds with each placer."""

    name: ClassVar[str] = "localfs"
    capabilities: ClassVar[Capabilities] = Capabilities()

    def __init__(
        self, instances: Path, placer: Placer, executor: ThreadPoolExecutor, *, replace_grace: timedelta
    ) -> None:
        self._instances = instances
        self._placer = placer
        self._executor = executor
        self._replace_grace = replace_grace
        self._locks: dict[str, asyncio.Lock] = {}
        self._moving: dict[str, Phase] = {}
        self._work: set[asyncio.Task[Any]] = set()
        self._watchers: list[_Changes] = []

    async def open(self) -> None:
        await self._placer.open(self._changed)

    async def close(self) -> None:
        """Launchers keep running. Waits for placements under way, so that none is left half recorded."""
        if self._work:
            await asyncio.wait(self._work)
        await self._placer.close()
        self._executor.shutdown(wait=False)

    async def ensure(self, spec: InstanceSpec, *, report: Report) -> Placement:
        self._check(spec)
        return await self._uncancelled(self._ensure(spec, report))

    async def stop(self, ref: InstanceRef, *, grace: timedelta) -> None:
        await self._uncancelled(self._stop(ref, grace))

    async def remove(self, ref: InstanceRef, *, keep_data: bool = True) -> None:
        await self._uncancelled(self._remove(ref, keep_data))

    async def adjust(self, spec: InstanceSpec) -> str:
        return await self._placer.adjust(spec)

    async def lacks(self) -> str:
        return await self._placer.lacks()

    async def observe(self, ref: InstanceRef) -> Observation:
        if (phase := self._moving.get(ref.id)) is not None:
            return Observation(id=ref.id, phase=phase)
        return await self._run(self._placer.observe, ref, self._directory(ref))

    async def list(self) -> Sequence[Observation]:
        ids = {*await self._run(self._placer.list), *self._moving}
        return [await self.observe(InstanceRef(instance_id)) for instance_id in sorted(ids)]

    async def watch(self) -> AsyncIterator[Observation]:
        changes = _Changes()
        self._watchers.append(changes)
        try:
            for observation in await self.list():
                yield observation
            while True:
                yield await self.observe(InstanceRef(await changes.next()))
        finally:
            self._watchers.remove(changes)

    async def shell(self, ref: InstanceRef) -> ShellCommand:
        raise Unsupported("a shell needs the sandbox of the `units` placer")

    def _directory(self, ref: InstanceRef) -> Path:
        return self._instances / ref.id

    def _check(self, spec: InstanceSpec) -> None:
        if "/" in spec.id or spec.id in ("", ".", ".."):
            raise SpecInvalid("bad_id", f"'{spec.id}' can't name a directory")
        if spec.stack is None:
            raise PlacementFailed("stack_missing", f"stack '{spec.stack_name}' is not built on this box")
        self._placer.check(spec)

    async def _ensure(self, spec: InstanceSpec, report: Report) -> Placement:
        async with self._lock(spec.ref):
            seen = await self.observe(spec.ref)
            if seen.phase is not Phase.UP or seen.generation != spec.generation:
                with self._phase(spec.ref, Phase.CREATING):
                    report("stopping what is left of the last launcher", 0.1)
                    await self._placer.end(spec.ref, self._directory(spec.ref), self._replace_grace)
                    report("starting the launcher", 0.6)
                    seen = await self._placer.place(spec, self._directory(spec.ref))
            report("placed", 1.0)
            return Placement(spec.id, seen.generation, seen.handle or {}, seen.pid)

    async def _stop(self, ref: InstanceRef, grace: timedelta) -> None:
        async with self._lock(ref):
            with self._phase(ref, Phase.STOPPING):
                await self._placer.end(ref, self._directory(ref), grace)

    async def _remove(self, ref: InstanceRef, keep_data: bool) -> None:
        await self._stop(ref, self._replace_grace)
        if keep_data:
            return
        async with self._lock(ref):
            await self._placer.erase(ref, self._directory(ref))
        self._locks.pop(ref.id, None)

    def _lock(self, ref: InstanceRef) -> asyncio.Lock:
        return self._locks.setdefault(ref.id, asyncio.Lock())

    def _phase(self, ref: InstanceRef, phase: Phase) -> _Moving:
        return _Moving(self._moving, ref.id, phase, self._changed)

    def _changed(self, instance_id: str) -> None:
        for changes in self._watchers:
            changes.add(instance_id)

    async def _uncancelled(self, work: Coroutine[Any, Any, T]) -> T:
        """Run to the end even when the caller is cancelled: a launcher is placed and recorded, or neither."""
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._finished)
        return await asyncio.shield(task)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._work.discard(task)
        if not task.cancelled():
            task.exception()  # a cancelled caller never asks for it; observe tells what came of it

    async def _run(self, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)


class _Moving:
    """While it is entered, `observe` answers with this phase; watchers are told at both ends."""

    def __init__(self, moving: dict[str, Phase], key: str, phase: Phase, changed: Callable[[str], None]) -> None:
        self._moving, self._key, self._phase, self._changed = moving, key, phase, changed

    def __enter__(self) -> None:
        self._moving[self._key] = self._phase
        self._changed(self._key)

    def __exit__(self, *_: object) -> None:
        del self._moving[self._key]
        self._changed(self._key)


class _Changes:
    """Ids that changed since they were last taken: bounded by the number of instances, each once."""

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}
        self._wake = asyncio.Event()

    def add(self, instance_id: str) -> None:
        self._ids[instance_id] = None
        self._wake.set()

    async def next(self) -> str:
        while not self._ids:
            self._wake.clear()
            await self._wake.wait()
        instance_id = next(iter(self._ids))
        del self._ids[instance_id]
        return instance_id
