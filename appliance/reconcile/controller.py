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

from msgspec.structs import replace

from appliance.drivers.base import Driver, DriverError, PlacementFailed, SpecInvalid
from appliance.errors import Unavailable, WeirError
from appliance.model import InstanceRef, InstanceSpec, LauncherState, Observation, Phase
from appliance.reconcile import backoff, verdicts
from appliance.reconcile.admission import Admission
from appliance.reconcile.backoff import Chance, History, Refused
from appliance.reconcile.decide import (
    ASK_AGAIN,
    ASK_EVERY,
    Action,
    Adopt,
    Ask,
    Ensure,
    GiveUp,
    Nothing,
    Remove,
    Stop,
    Tell,
    Wait,
    decide,
)
from appliance.reconcile.entry import Verdict
from appliance.reconcile.memory import Memory
from appliance.reconcile.neighbours import Launchers, Orphans, Settings, Wanted
from appliance.reconcile.observed import Observed
from appliance.reconcile.queue import KeyedQueue
from appliance.reconcile.starts import Starts
from appliance.reconcile.steps import Steps
from appliance.tasks import Tasks

log = logging.getLogger(__name__)

ASK_AGAIN_S = 1.0
BUSY_AGAIN_S = 2.0
ROOM_AGAIN_S = 5.0  # until memory is looked at again
FROZEN_GRACE = timedelta(seconds=2)  # it does not listen to anybody: nothing to wait for
SETTLED = (LauncherState.RUNNING, LauncherState.SAFE, LauncherState.CRASHED, LauncherState.STOPPED)


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
        memory: Memory,
        idle_cpus: Callable[[], float | None],
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
        self._settings = settings
        self._chance = chance
        self._starts = Starts(settings.starts_at_most, queue.poke, idle_cpus)
        self._admission = Admission(memory, self._starts, observed, settings.broker_up)
        self._histories: dict[str, History] = {}
        self._steps = Steps(clock)
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
        if self._has_settled(instance_id):
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
        by_number = sorted(specs, key=lambda instance_id: specs[instance_id].number)
        for instance_id in dict.fromkeys([*by_number, *self._observed.known()]):
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
        self._account(spec, observation)
        await self._act(spec, observation, self._decide(spec, observation))

    def _now(self) -> datetime:
        """The time. What is remembered is moved along with a clock that was set: nothing is due sooner or later for it.
        To be asked before a history is read, or what is written back would be moved twice."""
        if step := self._steps.taken():
            log.info("the clock was set by %.0f s", step.total_seconds())
            self._histories = {key: backoff.moved(history, step) for key, history in self._histories.items()}
        return self._clock()

    def _remember(self, key: str, happened: Callable[..., History], *details: int | str) -> None:
        now = self._now()
        self._histories[key] = happened(self._histories[key], now, *details)

    def _decide(self, spec: InstanceSpec, observation: Observation) -> Action:
        entry = self._observed.entry(spec.id)
        report, now = entry.own_report if entry else None, self._now()
        return decide(
            spec,
            observation,
            report,
            self._histories[spec.id],
            now,
            start_timeout=self._settings.start_timeout,
            in_state_s=self._observed.in_state_s(spec.id),
        )

    def _account(self, spec: InstanceSpec, observation: Observation) -> None:
        now, history = self._now(), self._histories.get(spec.id, History())
        if observation.phase is Phase.EXITED:
            history = backoff.exited(history, spec, now, observation.pid, observation.message, self._chance)
            self._starts.settled(spec.id)
        elif observation.phase is Phase.ABSENT and history.since is not None:
            history = backoff.gone(history)
        elif self._has_settled(spec.id):
            history = replace(history, settled=True)
        self._histories[spec.id] = history

    def _has_settled(self, key: str) -> bool:
        entry = self._observed.entry(key)
        return entry is not None and entry.own_report is not None and entry.own_report.state in SETTLED

    async def _act(self, spec: InstanceSpec, observation: Observation, action: Action) -> None:
        self._judge(spec.id, action)
        if not isinstance(action, Nothing | Wait | Ask):
            log.info("instance %s (%s): %s", spec.name, spec.id, action)
        if not isinstance(action, Ensure):
            self._starts.declined(spec.id)
        match action:
            case Ensure():
                await self._ensure(spec, observation)
            case Stop():
                await self._stop(spec, observation, action)
            case Remove():
                await self._remove(spec)
            case Adopt():
                await self._adopt(spec, observation)
            case Ask():
                answered = await self._ask(spec, observation)
                self._queue.poke_after(spec.id, 0 if answered else ASK_AGAIN.total_seconds())
            case Tell():
                await self._tell(spec, observation, action)
            case Wait(reason="starting") if self._settings.asks_new:
                answered = await self._ask(spec, observation)
                self._queue.poke_after(spec.id, 0 if answered else ASK_AGAIN_S)
            case Wait():
                self._queue.poke_after(spec.id, (action.until - self._clock()).total_seconds())
            case Nothing():
                if observation.phase is Phase.UP:
                    self._queue.poke_after(spec.id, ASK_EVERY.total_seconds())
            case GiveUp():
                pass

    def _judge(self, key: str, action: Action) -> None:
        verdict = verdicts.of(action, self._histories[key], self._observed_verdict(key))
        if verdict is not None:
            self._observed.judged(key, verdict)

    def _observed_verdict(self, key: str) -> Verdict:
        entry = self._observed.entry(key)
        return entry.verdict if entry is not None else Verdict()

    def _runs(self, key: str) -> bool:
        entry = self._observed.entry(key)
        return entry is not None and entry.observation.phase not in (Phase.ABSENT, Phase.EXITED)

    def _admitted(self, spec: InstanceSpec, observation: Observation) -> bool:
        """Whether it may start now; if not, people are told why, and it comes up again."""
        history = self._histories[spec.id]
        ran = observation.phase is Phase.UP or (observation.phase is Phase.EXITED and history.failures == 1)
        alone = not any(self._runs(key) for key in self._observed.known() if key != spec.id)
        refusal = self._admission.refusal(spec, ran=ran, alone=alone)
        if refusal is not None:
            if self._observed_verdict(spec.id).reason != refusal.reason:
                log.info("instance %s (%s): %s: %s", spec.name, spec.id, refusal.reason, refusal.message)
            self._queue.poke_after(spec.id, ROOM_AGAIN_S)
        self._observed.judged(spec.id, replace(refusal or Verdict(), restarts=history.restarts))
        return refusal is None

    async def _ensure(self, spec: InstanceSpec, observation: Observation) -> None:
        if not self._admitted(spec, observation):
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
            self._remember(spec.id, backoff.placed, placement.generation)
            self._observed.placed(spec.id, placement.pid, spec.command_generation)
        self._queue.poke(spec.id)

    async def _stop(self, spec: InstanceSpec, observation: Observation, action: Stop) -> None:
        if action.reason and await self._ask(spec, observation):
            again = self._decide(spec, observation)
            if not isinstance(again, Stop) or again.reason != action.reason:
                self._queue.poke(spec.id)  # it was only the push that got lost
                return
        grace = FROZEN_GRACE if action.reason == "launcher_frozen" else self._settings.stop_grace
        try:
            await self._driver.stop(spec.ref, grace=grace)
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
        answered = await self._ask(spec, observation)
        if answered:
            self._remember(spec.id, backoff.adopted, observation.generation)
            self._queue.poke(spec.id)
        else:
            now, history = self._now(), self._histories[spec.id]
            self._histories[spec.id] = replace(history, since=history.since or now)
            self._queue.poke_after(spec.id, ASK_AGAIN_S)

    async def _ask(self, spec: InstanceSpec, observation: Observation) -> bool:
        try:
            report = await self._launchers.info(replace(spec, generation=observation.generation))
        except Unavailable as error:
            log.info("instance %s: %s", spec.id, error)
            self._remember(spec.id, backoff.missed, error.code)
            return False
        self._remember(spec.id, backoff.answered)
        self._observed.report(spec.id, report)
        entry = self._observed.entry(spec.id)
        return entry is not None and entry.own_report is not None

    async def _tell(self, spec: InstanceSpec, observation: Observation, action: Tell) -> None:
        at, how = replace(spec, generation=observation.generation), self._observed.manner(spec.id, action.generation)
        if self._observed.is_plain(spec.id) and not await self._fits(spec, observation, action):
            return
        try:
            done = await self._launchers.command(at, action.command, action.generation, how)
        except Unavailable as error:
            log.warning("instance %s: cannot say '%s' to its launcher: %s", spec.id, action.command, error)
            self._remember(spec.id, backoff.missed, error.code)
            self._observed.judged(spec.id, Verdict("launcher_unreachable", str(error)))
            self._queue.poke_after(spec.id, ASK_AGAIN_S)
            return
        self._remember(spec.id, backoff.told, action.generation)
        self._observed.handed(spec.id, action.generation, done=done)
        if self._observed.is_plain(spec.id):
            await self._ask(spec, observation)
        self._queue.poke(spec.id)

    async def _fits(self, spec: InstanceSpec, observation: Observation, action: Tell) -> bool:
        """Whether a launcher that does not tell all its states is in one where it takes a command: in the others it
        answers that all is well and does nothing. If not, it is looked at again."""
        answered = await self._ask(spec, observation)
        if answered and self._observed.takes(spec.id, action.command) and self._decide(spec, observation) == action:
            return True
        self._queue.poke_after(spec.id, BUSY_AGAIN_S)
        return False

    def _fail(self, spec: InstanceSpec, reason: str, message: str) -> None:
        log.warning("instance %s (%s): %s: %s", spec.name, spec.id, reason, message)
        self._starts.settled(spec.id)
        now, history = self._now(), self._histories.get(spec.id, History())
        self._histories[spec.id] = backoff.failed(history, spec, now, reason, message, self._chance)
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
