"""The `child` placer: launchers as processes in sessions of their own, for development, CI and plain containers.

There is no sandbox: instances share the appliance's account. A record on disk says what was placed, written before
the process exists and again with its identity, so that an appliance with an empty memory finds it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from msgspec import Struct

from appliance.drivers.base import DriverUnavailable, PlacementFailed
from appliance.drivers.program import Program, Start
from appliance.errors import WeirError
from appliance.model import InstanceRef, InstanceSpec, Observation, Phase
from appliance.system import tree
from appliance.system.files import NotPlain, append_plain, make_private_dir, read_plain, remove_all, write_atomic
from appliance.system.pidfd import Identity, Process, identify, is_alive

OUTPUT_BYTES = 1 << 20  # launcher.out is emptied when it is larger, at a start and
OUTPUT_LOOK_S = 60.0  # so often while the launcher lives
MINT_TIMEOUT_S = 30
RECORD_BYTES = 64 << 10
DISCARD_S = 5.0
NO_GENERATION = -1


class Record(Struct, frozen=True):
    """`placement.json`. Without `identity` the placement was begun and its end is not known."""

    id: str
    generation: int
    launcher_port: int
    node_red_port: int
    placed_at: datetime
    identity: Identity | None = None
    program: str = "weir"  # which kind of launcher


Mint = Callable[[InstanceSpec], Awaitable[str]]


class Child:
    """See `localfs.Placer`."""

    def __init__(self, instances: Path, program: Program, mint: Mint, executor: ThreadPoolExecutor) -> None:
        self._instances = instances
        self._program = program
        self._mint = mint
        self._executor = executor
        self._exit_codes: dict[str, tuple[Identity, int | None]] = {}
        self._watches: dict[Identity, asyncio.Task[None]] = {}
        self._on_change: Callable[[str], None] = lambda _: None

    async def open(self, on_change: Callable[[str], None]) -> None:
        self._on_change = on_change
        await self._run(make_private_dir, self._instances)
        for instance_id in self.list():
            try:
                record = self._record(InstanceRef(instance_id), self._instances / instance_id)
            except OSError:
                continue  # `observe` says why
            if record and record.identity:
                self._watch(instance_id, record.identity)

    async def close(self) -> None:
        watches = list(self._watches.values())
        for watch in watches:
            watch.cancel()
        await asyncio.gather(*watches, return_exceptions=True)

    def list(self) -> Sequence[str]:
        return [path.parents[1].name for path in self._instances.glob(f"*/{_RECORD}")]

    def check(self, spec: InstanceSpec) -> None:
        """Every name of a directory will do."""

    async def place(self, spec: InstanceSpec, directory: Path) -> Observation:
        record = Record(
            id=spec.id,
            generation=spec.generation,
            launcher_port=spec.launcher_port,
            node_red_port=spec.node_red_port,
            placed_at=datetime.now(UTC),
            program=self._program.name,
        )
        await self._run(_make_directories, directory)
        try:
            await self._run(_write_record, directory, record)
            await self._run(self._program.prepare, spec, directory)
        except OSError as error:
            raise PlacementFailed("directory", f"cannot write in {directory}: {error.strerror}") from error
        secret = await self._secret(spec)
        placed = await self._run(self._spawn, spec, directory, record, secret)
        assert placed.identity is not None
        self._exit_codes.pop(spec.id, None)
        self._watch(spec.id, placed.identity)
        return self._up(placed)

    async def _secret(self, spec: InstanceSpec) -> str:
        try:
            async with asyncio.timeout(MINT_TIMEOUT_S):
                return await self._mint(spec)
        except (WeirError, TimeoutError) as error:
            raise DriverUnavailable(f"no credentials for the launcher: {error or 'the store is slow'}") from error

    async def end(self, ref: InstanceRef, directory: Path, grace: timedelta) -> None:
        try:
            record = await self._run(self._record, ref, directory)
        except OSError as error:
            raise DriverUnavailable(f"cannot read {directory / _RECORD}: {error.strerror}") from error
        try:
            await tree.end(record.identity if record else None, directory, grace_s=grace.total_seconds())
        except tree.StillAlive as error:
            raise DriverUnavailable(f"{error}; they may be stuck in the kernel: see dmesg") from error
        except OSError as error:
            raise DriverUnavailable(f"cannot see what runs in {directory}: {error.strerror}") from error
        self._exit_codes.pop(ref.id, None)
        try:
            await self._run(_forget_record, directory)
        except OSError as error:
            raise DriverUnavailable(f"cannot remove {directory / _RECORD}: {error.strerror}") from error

    async def adjust(self, spec: InstanceSpec) -> str:
        return await self.lacks()

    async def lacks(self) -> str:
        return "limits are enforced on an installed box: here instances are plain processes"

    async def erase(self, ref: InstanceRef, directory: Path) -> None:
        try:
            await self._run(remove_all, directory)
        except OSError as error:
            raise DriverUnavailable(f"cannot delete {directory}: {error}") from error

    def observe(self, ref: InstanceRef, directory: Path) -> Observation:
        try:
            record = self._record(ref, directory)
            lives = record is not None and record.identity is not None and is_alive(record.identity)
        except OSError as error:
            return Observation(
                id=ref.id, phase=Phase.UNKNOWN, reason="record_unreadable", message=f"{directory / _RECORD}: {error}"
            )
        if record is None:
            return Observation(id=ref.id, phase=Phase.ABSENT)
        return self._up(record) if lives else self._exited(record)

    def _exited(self, record: Record) -> Observation:
        identity, code = self._exit_codes.get(record.id, (None, None))
        known = record.identity is not None and identity == record.identity
        return Observation(
            id=record.id,
            phase=Phase.EXITED,
            reason="exited" if record.identity else "interrupted",
            message=self._exit_message(code if known else None),
            generation=record.generation,
            handle=_handle(record),
            pid=record.identity.pid if record.identity else None,
            since=record.placed_at,
            exit_code=code if known else None,
        )

    def _record(self, ref: InstanceRef, directory: Path) -> Record | None:
        """The record; where it can't be understood, or was never finished, what really runs is looked for."""
        try:
            content = read_plain(directory / _RECORD, RECORD_BYTES)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except NotPlain:  # the instance's own flows can write there
            content = b""
        try:
            record = msgspec.json.decode(content, type=Record)
        except msgspec.MsgspecError:
            record = Record(ref.id, 0, 0, 0, datetime.fromtimestamp(0, UTC), program=self._program.name)
        if record.identity is not None:
            return record
        return self._found_running(record, directory)

    def _spawn(self, spec: InstanceSpec, directory: Path, record: Record, secret: str) -> Record:
        """Start the launcher, write down who it is, then hand it what the pipe is for: that is never unrecorded."""
        read, write = os.pipe()
        try:
            start = self._program.start(spec, directory, secret, read)
            process = _popen(start, directory, read)
            try:
                identity = identify(process.pid)
                assert identity is not None  # it is our child and nobody has reaped it
                placed = msgspec.structs.replace(record, identity=identity)
                _write_record(directory, placed)
                os.write(write, start.boot)
            except BaseException:
                _discard(process)
                raise
            # Watched, signalled and reaped through a pidfd from here on: Popen must not wait for it as well.
            process.returncode = 0
            return placed
        except OSError as error:
            raise PlacementFailed("spawn", f"cannot start the launcher: {error}") from error
        finally:
            os.close(read)
            os.close(write)

    def _up(self, record: Record) -> Observation:
        assert record.identity is not None
        return Observation(
            id=record.id,
            phase=Phase.UP,
            # Of another kind than is configured now: no generation that could be wanted, so it is replaced.
            generation=record.generation if record.program == self._program.name else NO_GENERATION,
            handle=_handle(record),
            pid=record.identity.pid,
            since=record.placed_at,
        )

    def _found_running(self, record: Record, directory: Path) -> Record:
        for identity, generation in self._program.running(record.id, directory):
            seen = record.generation if generation is None else generation
            return msgspec.structs.replace(record, identity=identity, generation=seen)
        return record

    def _exit_message(self, code: int | None) -> str:
        if code is None:
            return "the launcher has ended"
        if code < 0:
            return f"the launcher was ended by signal {-code}"
        hint = self._program.exit_hint(code)
        return f"the launcher ended with exit code {code}{f' ({hint})' if hint else ''}; see launcher/launcher.out"

    def _watch(self, instance_id: str, identity: Identity) -> None:
        process = Process.open(identity)
        if process is None and identity not in self._watches:
            # Ended already. If it was our child its exit code can still be had, and it must not stay a zombie.
            process = _opened_zombie(identity)
        if process is None:
            self._on_change(instance_id)
            return
        watch = asyncio.create_task(self._wait(instance_id, process), name=f"watch launcher {instance_id}")
        self._watches[identity] = watch
        watch.add_done_callback(lambda _: self._watches.pop(identity, None))

    async def _wait(self, instance_id: str, process: Process) -> None:
        try:
            while not await process.wait(OUTPUT_LOOK_S):
                await self._run(_cap_output, self._instances / instance_id)
            self._exit_codes[instance_id] = (process.identity, process.reap())
            self._on_change(instance_id)
        finally:
            process.close()

    async def _run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)


_RECORD = "launcher/placement.json"


def _make_directories(directory: Path) -> None:
    try:
        make_private_dir(directory)
        make_private_dir(directory / "launcher")
    except OSError as error:
        raise PlacementFailed("directory", f"cannot make {directory}: {error.strerror}") from error


def _popen(start: Start, directory: Path, boot_fd: int) -> subprocess.Popen[bytes]:
    with _output(directory) as output:
        return subprocess.Popen(
            start.argv,
            cwd=directory,
            env=dict(start.env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            pass_fds=(boot_fd,) if start.boot else (),
            umask=start.umask,
        )


def _discard(process: subprocess.Popen[bytes]) -> None:
    """End a launcher that could not be written down (a full disk): nobody would ever wait for it."""
    process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(DISCARD_S)


def _write_record(directory: Path, record: Record) -> None:
    write_atomic(directory / _RECORD, msgspec.json.encode(record), 0o600)


def _forget_record(directory: Path) -> None:
    """Whatever lies there: flows of the instance may have put something else in its place, or closed the way to it."""
    for above in (directory, directory / "launcher"):
        if above.is_symlink() or not above.is_dir():
            break
        make_private_dir(above)
    with contextlib.suppress(NotADirectoryError):
        remove_all(directory / _RECORD)


def _opened_zombie(identity: Identity) -> Process | None:
    try:
        return Process(identity, os.pidfd_open(identity.pid)) if identify(identity.pid) == identity else None
    except (OSError, ValueError, OverflowError):
        return None


def _output(directory: Path) -> BinaryIO:
    fd = append_plain(directory / "launcher" / "launcher.out", 0o600)
    if os.fstat(fd).st_size > OUTPUT_BYTES:
        os.ftruncate(fd, 0)
    return os.fdopen(fd, "wb")


def _cap_output(directory: Path) -> None:
    """Nothing more than a full disk may come of a launcher that writes without end, and not even that."""
    with contextlib.suppress(OSError):
        _output(directory).close()


def _handle(record: Record) -> dict[str, Any]:
    identity = msgspec.to_builtins(record.identity) if record.identity else None
    return {"placer": "child", "identity": identity, "launcher_port": record.launcher_port}
