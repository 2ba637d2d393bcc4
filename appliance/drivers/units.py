"""The `units` placer: each launcher in a unit of systemd, with a user, a sandbox and limits of its own (production).

The unit `weir-launcher@<name>.service` is root's and the same for all; `<name>` is the instance's id in base32. What to
run stands in `launch/<name>.json`, without secrets, written before the unit is started: it says what was placed to an
appliance with an empty memory, and to a boot on which the appliance does not come up. Identity is the unit's invocation
id, with the process that systemd says it is; a launcher that lives is looked at in the kernel, without asking systemd.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from appliance.drivers.base import DriverUnavailable, PlacementFailed, SpecInvalid
from appliance.drivers.boot_socket import BootSocket, Given, unit_of_process
from appliance.drivers.child import MINT_TIMEOUT_S, NO_GENERATION
from appliance.drivers.launch_records import Record, Records, id_of, unit_name
from appliance.drivers.program import Program
from appliance.drivers.unit_properties import Ports, properties
from appliance.errors import WeirError
from appliance.model import InstanceRef, InstanceSpec, Observation, Phase
from appliance.system import cgroups
from appliance.system.pidfd import Identity, Process, identify, is_alive, user_of
from appliance.system.units import Systemctl, Unit, UnitsUnavailable

DATA = Path("/var/lib/weir-instances")  # StateDirectory= of the unit
PREFIX = "weir-launcher"
UNIT = PREFIX + "@{}.service"
BOOT_FD = 3  # see launcher/unit.py
KILL_S = 20.0  # after SIGKILL
START_S, LOOK_S, AT_ONCE = 180.0, 0.5, 100  # those that systemd starts at a boot; units in one question

log = logging.getLogger(__name__)
T = TypeVar("T")

Mint = Callable[[str, int], Awaitable[str]]
"""A secret for one start: the instance's id and the generation it is placed at. Raises WeirError."""


class Units:
    """See `localfs.Placer`. `launch`: the directory of the records; `boot_socket`: where launchers ask for theirs."""

    def __init__(
        self,
        launch: Path,
        boot_socket: Path,
        program: Program,
        mint: Mint,
        executor: ThreadPoolExecutor,
        *,
        reserved: Sequence[Ports] = (),
        systemctl: Systemctl | None = None,
    ) -> None:
        self._records = Records(launch)
        self._program = program
        self._mint = mint
        self._executor = executor
        self._systemctl = systemctl or Systemctl()
        self._reserved = reserved
        self._boot = BootSocket(boot_socket, self._give)
        self._given: dict[str, _Kept] = {}
        self._watches: dict[Identity, asyncio.Task[None]] = {}
        self._on_change: Callable[[str], None] = lambda _: None
        self._opened = datetime.now(UTC)
        self._starting: asyncio.Task[None] | None = None

    async def open(self, on_change: Callable[[str], None]) -> None:
        self._on_change = on_change
        await self._run(self._records.make)
        await self._boot.open()
        self._opened = datetime.now(UTC)
        if queued := await self._adopt(await self._run(self.list)):
            self._starting = asyncio.create_task(self._started(queued), name="launchers that systemd starts")

    async def close(self) -> None:
        await self._boot.close()
        watches = [*self._watches.values(), *([self._starting] if self._starting else [])]
        for watch in watches:
            watch.cancel()
        await asyncio.gather(*watches, return_exceptions=True)

    def check(self, spec: InstanceSpec) -> None:
        """Raises SpecInvalid for an id that can't name a unit, PlacementFailed for a device that is now another's."""
        try:
            unit_name(spec.id)
        except ValueError as error:
            raise SpecInvalid("bad_id", f"'{spec.id}' is no UUID, so it can't name a unit") from error
        if spec.limits.lost:
            raise PlacementFailed("device_leased", "; ".join(spec.limits.lost))

    def list(self) -> Sequence[str]:
        return self._records.ids()

    async def place(self, spec: InstanceSpec, directory: Path) -> Observation:
        unit, data = UNIT.format(unit_name(spec.id)), DATA / unit_name(spec.id)
        record = await self._prepared(spec, data)
        try:
            await self._limit(spec)
            await self._run(self._systemctl.start, unit)
            seen = await self._unit(spec.id)
        except UnitsUnavailable as error:
            raise PlacementFailed("unit", f"{error}; see: journalctl -u {unit}") from error
        identity = await self._run(identify, seen.main_pid) if seen.main_pid else None
        record = msgspec.structs.replace(record, invocation=seen.invocation, identity=identity)
        await self._write(record)
        if identity is not None:
            self._watch(record, identity)
        return await self._run(self._seen, record)

    async def adjust(self, spec: InstanceSpec) -> str:
        """At once, where it runs. What is refused is said at its next start, too."""
        try:
            await self._limit(spec)
        except UnitsUnavailable as error:
            raise DriverUnavailable(f"the limits could not be set: {error}") from error
        return await self.lacks()

    async def lacks(self) -> str:
        return "; ".join(await self._run(cgroups.missing))

    async def _limit(self, spec: InstanceSpec) -> None:
        """Written only when something is different: systemd keeps them over a boot, in files of its own."""
        wanted = properties(spec, self._reserved)
        said = "\n".join(wanted)
        if await self._run(self._records.limits, spec.id) != said:
            await self._run(self._systemctl.set_properties, UNIT.format(unit_name(spec.id)), wanted)
            await self._run(self._records.keep_limits, spec.id, said)

    async def end(self, ref: InstanceRef, directory: Path, grace: timedelta) -> None:
        self._given.pop(ref.id, None)
        unit = UNIT.format(unit_name(ref.id))
        try:
            seen = await self._unit(ref.id)
            if seen.runs:
                await self._end(seen, grace.total_seconds())
                seen = await self._unit(ref.id)
            if seen.active == "failed":
                await self._run(self._systemctl.reset_failed, unit)
            await self._run(self._records.forget, ref.id)
        except UnitsUnavailable as error:
            raise DriverUnavailable(f"{unit} could not be ended: {error}; see: systemctl status {unit}") from error
        except OSError as error:
            raise DriverUnavailable(f"cannot remove {self._records.file(ref.id)}: {error.strerror}") from error

    async def _end(self, unit: Unit, grace_s: float) -> None:
        """systemd ends the rest when the launcher has ended; no thread waits here for one that takes its time."""
        await self._run(self._systemctl.begin_stop, unit.name)
        identity = await self._run(identify, unit.main_pid) if unit.main_pid else None
        if identity is None or not await _ended(identity, grace_s):
            await self._run(self._systemctl.kill, unit.name)
        await self._run(self._systemctl.stop, unit.name, KILL_S)

    async def erase(self, ref: InstanceRef, directory: Path) -> None:
        """By systemd, which follows no links that the flows left there."""
        unit = UNIT.format(unit_name(ref.id))
        try:
            await self._run(self._systemctl.clean, unit)
            await self._run(self._records.forget_limits, ref.id)
        except UnitsUnavailable as error:
            raise DriverUnavailable(f"the files of {unit} could not be removed: {error}") from error

    def observe(self, ref: InstanceRef, directory: Path) -> Observation:
        record = None
        try:
            record = self._records.find(ref.id)
            return self._seen(record) if record else Observation(id=ref.id, phase=Phase.ABSENT)
        except OSError as error:
            reason, said = "record_unreadable", str(error)
        except UnitsUnavailable as error:
            reason, said = "systemd_silent", str(error)
        return Observation(id=ref.id, phase=Phase.UNKNOWN, reason=reason, message=said)

    def _seen(self, record: Record) -> Observation:
        """Raises UnitsUnavailable, where systemd has to be asked: it is what a launcher that is gone left behind."""
        if record.identity is not None and is_alive(record.identity):
            return self._up(record, record.identity)
        unit = self._ask(record.id)
        if unit.runs and unit.main_pid and (identity := identify(unit.main_pid)) is not None:
            return self._up(msgspec.structs.replace(record, invocation=unit.invocation), identity)
        if unit.starting:  # not ours to start, and not to be ended because it does not run yet
            return Observation(id=record.id, phase=Phase.CREATING, since=self._opened)
        return self._exited(record, unit)

    def _up(self, record: Record, identity: Identity) -> Observation:
        return Observation(
            id=record.id,
            phase=Phase.UP,
            generation=record.generation if record.program == self._program.name else NO_GENERATION,
            handle=_handle(record),
            pid=identity.pid,
            since=record.placed_at,
        )

    def _exited(self, record: Record, unit: Unit) -> Observation:
        code = unit.exit_code if unit.invocation == record.invocation else None
        return Observation(
            id=record.id,
            phase=Phase.EXITED,
            reason="exited" if record.invocation else "interrupted",
            message=self._exit_message(code, unit),
            generation=record.generation,
            handle=_handle(record),
            pid=record.identity.pid if record.identity else None,
            since=record.placed_at,
            exit_code=code,
        )

    def _exit_message(self, code: int | None, unit: Unit) -> str:
        see = f"see: journalctl -u {unit.name}"
        if unit.result == "oom-kill":
            return f"the kernel ended the launcher for want of memory; {see}"
        if code is None:
            return f"the launcher has ended; {see}"
        if code < 0:
            return f"the launcher was ended by signal {-code}; {see}"
        hint = self._program.exit_hint(code)
        return f"the launcher ended with exit code {code}{f' ({hint})' if hint else ''}; {see}"

    async def _prepared(self, spec: InstanceSpec, data: Path) -> Record:
        """The record of a start that can begin, written down; before there is anything to find, and after."""
        record = Record(
            id=spec.id,
            generation=spec.generation,
            launcher_port=spec.launcher_port,
            node_red_port=spec.node_red_port,
            placed_at=datetime.now(UTC),
            program=self._program.name,
            argv=(),
            env={},
            boot_socket=str(self._boot.path),
        )
        await self._write(record)
        secret = await self._minted(spec.id, spec.generation)
        start = self._program.start(spec, data, secret, BOOT_FD)
        # The environment of any other launcher than ours holds its token.
        public, secret_env = (dict(start.env), {}) if self._program.name == "weir" else ({}, dict(start.env))
        self._given[spec.id] = _Kept(Given(start.boot.decode(), secret_env))
        record = msgspec.structs.replace(record, argv=start.argv, env=public)
        await self._write(record)
        return record

    async def _minted(self, instance_id: str, generation: int) -> str:
        try:
            async with asyncio.timeout(MINT_TIMEOUT_S):
                return await self._mint(instance_id, generation)
        except (WeirError, TimeoutError) as error:
            raise DriverUnavailable(f"no credentials for the launcher: {error or 'the store is slow'}") from error

    async def _give(self, pid: int, uid: int) -> Given | None:
        """Something only for the main process of a unit that was placed, as that unit's user."""
        name = unit_of_process(pid, PREFIX)
        found = id_of(name) if name else None
        record = await self._run(self._records.find, found) if found else None
        if found is None or record is None or uid == 0 or uid != user_of(pid):
            return None
        if record.identity is not None and is_alive(record.identity) and record.identity.pid != pid:
            return None  # a flow of it: systemd need not be asked
        unit = await self._unit(found)
        if unit.main_pid != pid:
            return None
        kept = self._given.get(found)
        if kept is None or kept.invocation not in ("", unit.invocation):
            kept = _Kept(await self._anew(record))
        self._given[found] = _Kept(kept.given, unit.invocation)  # its answer may get lost: it may ask again
        return kept.given

    async def _anew(self, record: Record) -> Given:
        """For a launcher that was started by another appliance, at a boot, or by hand."""
        secret = await self._minted(record.id, record.generation)
        return Given(self._program.boot_line(secret).decode())

    def _found(self, ids: Sequence[str]) -> Sequence[Record]:
        found = []
        for each in ids:
            try:
                found.append(self._records.find(each))
            except OSError as error:
                log.warning("instance %s: %s", each, error)  # `observe` says so, too
        return [each for each in found if each]

    async def _adopt(self, ids: Sequence[str]) -> Sequence[str]:
        """Take note of what runs, write down what starts without us changed; those that systemd is about to start."""
        starting = []
        for first in range(0, len(ids), AT_ONCE):
            records = await self._run(self._found, ids[first : first + AT_ONCE])
            living = [each.identity is not None and is_alive(each.identity) for each in records]
            units = await self._asked([each for each, lives in zip(records, living, strict=True) if not lives])
            for record, lives in zip(records, living, strict=True):
                unit = units.get(record.id)
                found = record if lives or unit is None else await self._renewed(record, unit)
                if found.identity is not None and (lives or found is not record):
                    self._watch(found, found.identity)
                elif unit is not None and unit.starting:
                    starting.append(record.id)
        return starting

    async def _asked(self, records: Sequence[Record]) -> dict[str, Unit]:
        """Their units by the instances' ids; none where systemd can't be asked."""
        names = {UNIT.format(unit_name(each.id)): each.id for each in records}
        try:
            return {names[unit.name]: unit for unit in await self._run(self._systemctl.units, *names)} if names else {}
        except UnitsUnavailable as error:
            log.warning("systemd can't be asked about %d instances: %s", len(names), error)  # `observe` says so, too
            return {}

    async def _started(self, queued: Sequence[str]) -> None:
        """Take note of those that systemd starts, until it has tried with all."""
        deadline = time.monotonic() + START_S
        while queued and time.monotonic() < deadline:
            await asyncio.sleep(LOOK_S)
            left = await self._adopt(queued)
            for each in set(queued).difference(left):
                self._on_change(each)
            queued = left

    async def _renewed(self, record: Record, unit: Unit) -> Record:
        """The record with the process that runs now, written down; the same record when none does."""
        identity = await self._run(identify, unit.main_pid) if unit.runs and unit.main_pid else None
        if identity is None:
            return record
        record = msgspec.structs.replace(record, invocation=unit.invocation, identity=identity)
        try:
            await self._run(self._records.write, record)
        except OSError as error:
            log.warning("cannot write in %s: %s", self._records.directory, error.strerror)
        return record

    def _watch(self, record: Record, identity: Identity) -> None:
        if identity in self._watches:
            return
        process = Process.open(identity)
        if process is None:
            self._on_change(record.id)
            return
        watch = asyncio.create_task(self._wait(record, process), name=f"watch launcher {record.id}")
        self._watches[identity] = watch
        watch.add_done_callback(lambda _: self._watches.pop(identity, None))

    async def _wait(self, record: Record, process: Process) -> None:
        try:
            await process.wait()
        finally:
            process.close()
        self._on_change(record.id)
        # Somebody may have restarted it by hand: then there is another one to watch.
        current = await self._run(self._records.find, record.id)
        if current is not None and current.identity == record.identity:
            await self._adopt([current.id])

    async def _write(self, record: Record) -> None:
        try:
            await self._run(self._records.write, record)
        except OSError as error:
            raise PlacementFailed("directory", f"cannot write {self._records.directory}: {error.strerror}") from error

    async def _unit(self, instance_id: str) -> Unit:
        return await self._run(self._ask, instance_id)

    def _ask(self, instance_id: str) -> Unit:
        return self._systemctl.units(UNIT.format(unit_name(instance_id)))[0]

    async def _run(self, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)


class _Kept(Struct, frozen=True):
    """Something to be given. `invocation`: of the unit it was given to; empty: not yet."""

    given: Given
    invocation: str = ""


async def _ended(identity: Identity, grace_s: float) -> bool:
    process = Process.open(identity)
    if process is None:
        return True
    try:
        return await process.wait(grace_s)
    finally:
        process.close()


def _handle(record: Record) -> dict[str, Any]:
    identity = msgspec.to_builtins(record.identity) if record.identity else None
    return {
        "placer": "units",
        "unit": UNIT.format(unit_name(record.id)),
        "invocation": record.invocation,
        "identity": identity,
        "launcher_port": record.launcher_port,
    }
