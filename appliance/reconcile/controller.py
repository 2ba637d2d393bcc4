"""Makes what is wanted real: one look at a time per instance, until nothing is left to do.

A look reads the spec, observes, decides and does one step. Triggers (pokes, the driver's watch, reports) may be lost
or doubled; a resync every minute makes it right.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from appliance.drivers.base import Driver, DriverError, PlacementFailed, SpecInvalid
from appliance.errors import Unavailable, WeirError
from appliance.model import InstanceRef, InstanceSpec, LauncherReport, LauncherState, Observation, Phase
from appliance.reconcile import backoff
from appliance.reconcile.backoff import Chance, History, Refused, Told
from appliance.reconcile.decide import Action, Adopt, Ensure, GiveUp, Nothing, Remove, Stop, Tell, Wait, decide
from appliance.reconcile.observed import Observed, Verdict
from appliance.reconcile.queue import KeyedQueue
from appliance.reconcile.starts import Starts
from appliance.tasks import Tasks

log = logging.getLogger(__name__)

ASK_AGAIN_S = 1.0
MEMORY_FLOOR_BYTES = 64 * 2**20  # below it not even a launcher fits
SETTLED = (LauncherState.RUNNING, LauncherState.SAFE, LauncherState.CRASHED, LauncherState.STOPPED)


class Wanted(Protocol):
    """What should be there, from the database."""

    async def specs(self) -> Sequence[InstanceSpec]: ...
    async def spec(self, instance_id: str) -> InstanceSpec | None: ...
    async def removed(self, instance_id: str) -> None: ...


class Launchers(Protocol):
    """The way to living launchers. Raises Unavailable."""

    async def info(self, at: InstanceSpec) -> LauncherReport: ...
    async def command(self, at: InstanceSpec, command: str, generation: int | None = None) -> None: ...


class Orphans(Protocol):
    """Told of launchers that the database does not know."""

    def __call__(self, orphans: Sequence[Observation]) -> None: ...


class Settings(Struct, frozen=True):
    """How patient the reconciler is."""

    start_timeout: timedelta
    stop_grace: timedelta
    starts_at_once: int
    workers: int = 8
    resync_s: float = 60.0


class Reconciler:
    """The loop over all instances. `start` once, then `run` until cancelled, then `close`."""

    def __init__(
        self,
        *,
        driver: Driver,
        wanted: Wanted,
        launchers: Launchers,
        observed: Observed,
        queue: KeyedQueue,
        orphans: Orphans,
        sites_changed: Callable[[], None],
        clock: Callable[[], datetime],
        memory_available_bytes: Callable[[], int | None],
        settings: Settings,
        chance: Chance = random.random,
    ) -> None:
        self._driver = driver
        self._wanted = wanted
        self._launchers = launchers
        self._observed = observed
        self._queue = queue
        self._orphans = orphans
        self._sites_changed = sites_changed
        self._clock = clock
        self._memory_available_bytes = memory_available_bytes
        self._settings = settings
        self._chance = chance
        self._starts = Starts(settings.starts_at_once, queue.poke)
        self._histories: dict[str, History] = {}
        self._sites: dict[str, tuple[object, ...]] = {}

    async def start(self) -> None:
        """List what is there and what is wanted. Afterwards reports may come in."""
        await self._driver.open()
        await self.resync()

    def run(self, tasks: Tasks) -> None:
        """Start the workers, the watch and the resync; they live as long as `tasks`."""
        for number in range(self._settings.workers):
            tasks.keep(f"reconcile worker {number}", self._work)
        tasks.keep("driver watch", self._watch)
        tasks.keep("resync", self._resync)

    async def close(self) -> None:
        """Launchers keep running."""
        self._queue.close()
        self._starts.close()
        await self._driver.close()

    def reported(self, instance_id: str) -> None:
        """A launcher said something: called by `Observed`."""
        entry = self._observed.entry(instance_id)
        if entry is not None and entry.own_report is not None and entry.own_report.state in SETTLED:
            self._starts.settled(instance_id)
        self._queue.poke(instance_id)

    async def resync(self) -> None:
        """Look at everything again. Raises DriverError, WeirError."""
        observations = await self._driver.list()
        specs = {spec.id: spec for spec in await self._wanted.specs()}
        for spec in specs.values():
            self._know(spec)
        for observation in observations:
            if self._observed.entry(observation.id) is not None:
                self._observed.seen(observation)
        self._orphans(await self._confirmed([o for o in observations if o.id not in specs]))
        for instance_id in {*specs, *self._observed.known()}:
            self._queue.poke(instance_id)

    async def _confirmed(self, suspects: Sequence[Observation]) -> Sequence[Observation]:
        """Without those that were created or removed while we looked."""
        found = []
        for suspect in suspects:
            seen = await self._driver.observe(InstanceRef(suspect.id))
            if seen.phase is not Phase.ABSENT and await self._wanted.spec(suspect.id) is None:
                found.append(seen)
        return found

    async def _resync(self) -> None:
        while True:
            await asyncio.sleep(self._settings.resync_s * (0.9 + 0.2 * self._chance()))
            await self.resync()

    async def _watch(self) -> None:
        async for observation in self._driver.watch():
            if self._observed.entry(observation.id) is not None:
                # At once, not when a worker is free: browsers must not be sent to a dead port.
                self._observed.seen(observation)
                self._queue.poke(observation.id)

    async def _work(self) -> None:
        while True:
            key = await self._queue.take()
            try:
                await self._look(key)
            except Exception as error:  # noqa: BLE001 - the reconcile worker is one of the four boundaries
                log.exception("instance %s: the look at it failed", key)
                self._stumbled(key, error)
            finally:
                self._queue.done(key)

    async def _look(self, key: str) -> None:
        try:
            spec = await self._wanted.spec(key)
        except WeirError as error:
            log.warning("instance %s: cannot read what is wanted: %s", key, error)
            self._queue.poke_after(key, ASK_AGAIN_S)
            return
        if spec is None:
            self._forget(key)
            return
        self._know(spec)
        observation = await self._driver.observe(spec.ref)
        self._observed.seen(observation)
        self._observed.recheck(spec.id)
        history = self._account(spec, observation)
        entry = self._observed.entry(key)
        report = entry.own_report if entry else None
        action = decide(spec, observation, report, history, self._clock(), start_timeout=self._settings.start_timeout)
        await self._act(spec, observation, action)

    def _account(self, spec: InstanceSpec, observation: Observation) -> History:
        history = self._histories.get(spec.id, History())
        if observation.phase is Phase.EXITED:
            history = backoff.exited(history, spec, self._clock(), observation.pid, observation.message, self._chance)
            self._starts.settled(spec.id)
        elif observation.phase is Phase.ABSENT and history.since is not None:
            history = backoff.gone(history)
        self._histories[spec.id] = history
        return history

    async def _act(self, spec: InstanceSpec, observation: Observation, action: Action) -> None:
        self._judge(spec.id, action)
        if not isinstance(action, Nothing | Wait):
            log.info("instance %s (%s): %s", spec.name, spec.id, action)
        if not isinstance(action, Ensure):
            self._starts.declined(spec.id)
        match action:
            case Ensure():
                await self._ensure(spec)
            case Stop():
                await self._stop(spec, action)
            case Remove():
                await self._remove(spec)
            case Adopt():
                await self._adopt(spec, observation)
            case Tell():
                await self._tell(spec, observation, action)
            case Wait():
                self._queue.poke_after(spec.id, (action.until - self._clock()).total_seconds())
            case Nothing() | GiveUp():
                pass

    def _judge(self, key: str, action: Action) -> None:
        restarts = self._histories[key].restarts
        match action:
            case Wait():
                verdict = Verdict(action.reason, action.message, action.until, restarts)
                # A deadline is not a next try: nothing is going to happen unless it passes.
                quiet = replace(verdict, reason="", message="", next_try_at=None)
                verdict = verdict if self._histories[key].next_try_at == action.until else quiet
            case GiveUp():
                verdict = Verdict(action.reason, action.message, None, restarts, gave_up=True)
            case _:
                verdict = Verdict(restarts=restarts)
        self._observed.judged(key, verdict)

    async def _ensure(self, spec: InstanceSpec) -> None:
        if (available := self._memory_available_bytes()) is not None and available < MEMORY_FLOOR_BYTES:
            mib = available // 2**20
            self._fail(spec, "memory_short", f"only {mib} MiB of memory are free; stop something on this box")
            return
        if not self._starts.take(spec.id):
            message = f"waiting for its turn: {self._settings.starts_at_once} start at a time"
            self._observed.judged(spec.id, Verdict("waiting_for_turn", message))
            return
        try:
            placement = await self._driver.ensure(spec, report=lambda step, _: log.debug("%s: %s", spec.id, step))
        except SpecInvalid as error:
            self._starts.settled(spec.id)
            refused = Refused(spec.generation, error.reason, str(error))
            self._histories[spec.id] = replace(self._histories[spec.id], refused=refused)
        except DriverError as error:
            self._fail(spec, _reason(error), str(error))
            return
        else:
            self._histories[spec.id] = backoff.placed(self._histories[spec.id], self._clock(), placement.generation)
        self._queue.poke(spec.id)

    async def _stop(self, spec: InstanceSpec, action: Stop) -> None:
        if action.reason and await self._ask(spec, await self._driver.observe(spec.ref)):
            return  # it was only the push that got lost
        try:
            await self._driver.stop(spec.ref, grace=self._settings.stop_grace)
        except DriverError as error:
            self._fail(spec, _reason(error), str(error))
            return
        self._starts.settled(spec.id)
        if action.reason:
            self._fail(spec, action.reason, action.message)
            return
        self._histories[spec.id] = backoff.gone(self._histories[spec.id])
        self._queue.poke(spec.id)

    async def _remove(self, spec: InstanceSpec) -> None:
        try:
            await self._driver.remove(spec.ref, keep_data=False)
            await self._wanted.removed(spec.id)
        except (DriverError, WeirError) as error:
            self._fail(spec, _reason(error), str(error))
            return
        self._forget(spec.id)

    async def _adopt(self, spec: InstanceSpec, observation: Observation) -> None:
        history = self._histories[spec.id]
        if await self._ask(spec, observation):
            self._histories[spec.id] = backoff.adopted(history, self._clock(), observation.generation)
            self._queue.poke(spec.id)
        else:
            self._histories[spec.id] = replace(history, since=history.since or self._clock())
            self._queue.poke_after(spec.id, ASK_AGAIN_S)

    async def _ask(self, spec: InstanceSpec, observation: Observation) -> bool:
        try:
            report = await self._launchers.info(replace(spec, generation=observation.generation))
        except Unavailable as error:
            log.info("instance %s: %s", spec.id, error)
            return False
        self._observed.report(spec.id, report)
        entry = self._observed.entry(spec.id)
        return entry is not None and entry.own_report is not None

    async def _tell(self, spec: InstanceSpec, observation: Observation, action: Tell) -> None:
        at = replace(spec, generation=observation.generation)
        try:
            await self._launchers.command(at, action.command, action.generation)
        except Unavailable as error:
            log.warning("instance %s: cannot say '%s' to its launcher: %s", spec.id, action.command, error)
            self._observed.judged(spec.id, Verdict("launcher_unreachable", str(error)))
            self._queue.poke_after(spec.id, ASK_AGAIN_S)
            return
        told = Told(action.generation, self._clock())
        self._histories[spec.id] = replace(self._histories[spec.id], told=told)
        self._queue.poke(spec.id)

    def _fail(self, spec: InstanceSpec, reason: str, message: str) -> None:
        log.warning("instance %s (%s): %s: %s", spec.name, spec.id, reason, message)
        self._starts.settled(spec.id)
        history = self._histories.get(spec.id, History())
        self._histories[spec.id] = backoff.failed(history, spec, self._clock(), reason, message, self._chance)
        self._queue.poke(spec.id)

    def _stumbled(self, key: str, error: Exception) -> None:
        message = f"unexpected error: {error}; see the appliance's log"
        if (entry := self._observed.entry(key)) is not None:
            self._fail(entry.spec, "unexpected_error", message)
        else:
            self._queue.poke_after(key, ASK_AGAIN_S)

    def _know(self, spec: InstanceSpec) -> None:
        self._observed.know(spec)
        site = (spec.name, spec.public_port, spec.node_red_port)
        if self._sites.get(spec.id) != site:
            self._sites[spec.id] = site
            self._sites_changed()

    def _forget(self, key: str) -> None:
        self._observed.forget(key)
        self._histories.pop(key, None)
        self._starts.settled(key)
        self._starts.declined(key)
        if self._sites.pop(key, None) is not None:
            self._sites_changed()


def _reason(error: Exception) -> str:
    return error.reason if isinstance(error, PlacementFailed) else "driver_unavailable"
