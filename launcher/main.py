"""Puts the launcher together and runs it."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import logging
import os
import select
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from launcher import __version__, http, last_words, orphan, strays, unit
from launcher.api import Api
from launcher.appliance import Appliance, Refused
from launcher.catchup import catch_up
from launcher.config import Options, parse
from launcher.crashloop import CrashLoop, jitter
from launcher.loglines import Log
from launcher.node_red import NodeRed
from launcher.offline import GrantCache, renewal
from launcher.prepare import Preparer
from launcher.process import SpawnFailed, close_on_exec_all, reason, spawn
from launcher.samples import EVERY_S, Samples
from launcher.schema import BootGrant
from launcher.segments import AGE_S, Segments
from launcher.spool import Spool
from launcher.usage import Usage
from launcher.web import Server

log = logging.getLogger("launcher")

EXIT_REFUSED = 77  # the ticket is spent or unknown: only a new placement helps
EXIT_PORT = 78  # the launcher's own port can't be opened
ABSENT_S = 2.0  # an appliance that restarts is back by then; later what is kept has to do
SILENT_S = 5.0  # the same for one that listens and does not answer
IN_MEMORY_BYTES = 4 * 1024 * 1024  # of log; the directory itself has room for half as much again
_TICKET_S = 10.0
_TICKET_BYTES = 65536
_FLUSH_S = 3.0
_PR_SET_DUMPABLE = 4
_M_ARENA_MAX = -8


_Boot = asyncio.Task[BootGrant | None]


class NoTicket(Exception):
    """Nothing usable came through the boot descriptor."""


def main(argv: Sequence[str]) -> int:
    """Run until told to end; the exit status says why."""
    _protect()
    options = parse(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    close_on_exec_all()
    try:
        ticket = "" if options.boot_socket else _read_ticket(options.boot_fd)
    except NoTicket as error:
        log.error("no boot ticket: %s; the launcher is started by the appliance", error)
        return 2
    return asyncio.run(_Launcher(options).run(ticket))


class _Launcher:
    """The composition: one per process."""

    def __init__(self, options: Options) -> None:
        self._options = options
        source = _source()
        self._log = _log_of(options, source)
        self._appliance = Appliance(options.appliance, options.instance, Spool(options.away / "reports.ndjson"))
        self._grants = GrantCache(options.away / "grant.json")
        self._grants.tidy()
        self._unreachable = False
        self._samples = Samples(
            source,
            Usage(),
            alarm=self._appliance.audit,
            push=self._appliance.resources,
            every_s=EVERY_S * options.pace,
        )
        self._ended = asyncio.Event()
        self._signals = 0
        self._node_red: NodeRed | None = None
        self._versions: dict[str, str] = {"launcher": __version__}
        self._api = Api(options.dir, self._log, self._samples, time.time(), self._end)
        self._server = Server(self._api.routes())

    async def run(self, ticket: str) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._signalled)
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, strays.reap)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self._log.system(f"Launcher version: {__version__}")
        try:
            return await self._run(ticket)
        finally:
            await self._server.close()
            self._log.close()

    async def _run(self, ticket: str) -> int:
        try:
            await self._server.open(self._options.port)
        except OSError as error:
            log.error("port %d of the launcher can't be opened: %s", self._options.port, error.strerror)
            return EXIT_PORT
        versions = asyncio.create_task(self._read_versions(), name="versions")
        ended = asyncio.create_task(self._ended.wait(), name="ended")
        boot = asyncio.create_task(self._boot(ticket), name="boot")
        try:
            grant = await self._first_grant(boot, ended)
            if grant is None:
                return EXIT_REFUSED if boot.done() else 0
            return await self._live(grant, boot, ended)
        finally:
            for task in (boot, ended, versions):
                task.cancel()

    async def _first_grant(self, boot: _Boot, ended: asyncio.Task[bool]) -> BootGrant | None:
        """What to begin with: the answer of the appliance, or while it is away what is kept of the last one. None
        when the ticket was refused, or the end came first."""
        for patience_s in (ABSENT_S, SILENT_S - ABSENT_S, None):
            await asyncio.wait([ended, boot], timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
            if boot.done():
                return boot.result()
            if ended.done():
                return None
            if (self._unreachable or patience_s != ABSENT_S) and (kept := self._kept_grant()) is not None:
                return kept
        return None

    def _kept_grant(self) -> BootGrant | None:
        return self._grants.load() if self._options.last_settings.exists() else None

    async def _live(self, grant: BootGrant, boot: _Boot, ended: asyncio.Task[bool]) -> int:
        options = self._options
        preparer = Preparer(options, self._appliance, grant, self._log, os.environ)
        self._node_red = self._api.node_red = NodeRed(
            options,
            self._appliance,
            preparer,
            self._log,
            CrashLoop(base_s=options.pace, cap_s=300 * options.pace),
            self._versions,
            events={"metrics": self._samples.hear},
        )
        comeback = asyncio.create_task(self._booted(boot, preparer, grant), name="comeback")
        comeback.add_done_callback(_complain)
        if not await self._end_orphan(ended):
            comeback.cancel()
            return 0
        delivery = asyncio.create_task(self._appliance.deliver(), name="deliver")
        worker = asyncio.create_task(self._node_red.run(), name="worker")
        sampling = asyncio.create_task(self._samples.run(self._node_red_pid), name="samples")
        sampling.add_done_callback(_complain)
        asyncio.get_running_loop().call_later(20, _trim)
        await asyncio.wait([ended, worker, delivery], return_when=asyncio.FIRST_COMPLETED)
        self._node_red.quit()
        failure = await _outcome(worker)
        if delivery.done():
            failure = failure or delivery.exception()
        else:
            await self._appliance.flush(_FLUSH_S)
        for task in (delivery, sampling, comeback):
            task.cancel()
        if failure is None:
            return 0
        log.error("the launcher failed", exc_info=failure)
        self._node_red.kill()
        return 1

    async def _end_orphan(self, ended: asyncio.Task[bool]) -> bool:
        """End what an earlier launcher left behind; False when our own end came first."""
        while not ended.done():
            try:
                if (pid := await orphan.end(self._options.node_red_note, self._options.dir)) is not None:
                    self._log.system(f"Ended the Node-RED (pid {pid}) that an earlier launcher left behind")
                return True
            except OSError as error:  # to start beside it would be worse than to wait
                log.warning("what an earlier launcher left behind can't be looked for: %s", reason(error))
                await asyncio.wait([ended], timeout=5.0)
        return False

    async def _booted(self, boot: _Boot, preparer: Preparer, first: BootGrant) -> None:
        """Open the API once the ticket is traded; what was started without the appliance makes up for it then."""
        grant = await boot
        if grant is None:
            # What serves is not ended for it: the appliance places another launcher, and that one does.
            self._log.system("Node-RED goes on without the appliance until that places a new launcher.")
            return
        self._grants.save(grant)
        self._server.secret = grant.apiSecret
        if self._node_red is None:
            return
        if grant is not first:
            self._log.system("The appliance is back.")
            preparer.renew(grant)
            self._node_red.tell({"credentials": renewal(grant)})
        while True:
            # Also when it goes away after the ticket was traded: a start may meet it in between.
            await preparer.outdated.wait()
            preparer.outdated.clear()
            if (command := await catch_up(preparer, self._log.system, self._node_red.correct)) is not None:
                self._node_red.submit(command)

    async def _boot(self, ticket: str) -> BootGrant | None:
        """Wait for the appliance as long as it takes; None when it refuses the ticket."""
        pause_s = 0.1
        while True:
            try:
                ticket = ticket or await self._ask_ticket()
                return await self._appliance.boot(ticket)
            except Refused as error:
                log.error("the appliance refused the boot ticket: %s (%s)", error, error.code)
                self._log.system(f"The appliance refused the boot ticket ({error.code}); a new placement is needed.")
                return None
            except http.Unreachable as error:
                self._unreachable = True
                if pause_s == 0.1:
                    self._log.system(f"Waiting for the appliance: {error}")
            await asyncio.sleep(pause_s * (0.5 + jitter() / 2))
            pause_s = min(5.0 * self._options.pace, pause_s * 2)

    async def _ask_ticket(self) -> str:
        """From the appliance's boot socket, which knows us by the kernel's word. Raises Unreachable."""
        path = self._options.boot_socket
        try:
            return _ticket_in((await unit.ask_at_ease(path)).boot.encode())
        except (OSError, ValueError, KeyError) as error:
            raise http.Unreachable(f"{path}: {error}") from error

    async def _read_versions(self) -> None:
        """Fill in what runs here; a stack that is missing leaves them out."""
        options = self._options
        with contextlib.suppress(OSError, msgspec.DecodeError, KeyError):
            package = msgspec.json.decode((options.script.parent / "package.json").read_bytes(), type=dict)
            self._versions["node-red"] = str(package["version"])
        said = bytearray()
        with contextlib.suppress(SpawnFailed):
            process = spawn(
                [options.node, "--version"], env={}, cwd=options.dir, outputs={1: (said.extend, lambda: None)}
            )
            await process.exited
            self._versions["node"] = said[:64].decode("ascii", "replace").strip().removeprefix("v")

    def _node_red_pid(self) -> int | None:
        process = self._node_red.process if self._node_red is not None else None
        return process.pid if process is not None else None

    def _signalled(self) -> None:
        self._signals += 1
        if self._signals > 1:
            if self._node_red is not None:
                self._node_red.kill()
            os._exit(1)
        self._end()

    def _end(self) -> None:
        self._ended.set()


def _log_of(options: Options, source: str) -> Log:
    """On the disk, or in memory with its end kept; what was written the other way before is at its beginning."""
    disk = options.own / "logs"
    if not options.logs:
        last_words.bring_back(options.last_words, disk)
        with contextlib.suppress(OSError):
            options.last_words.unlink(missing_ok=True)
        return Log(Segments(disk), source)
    memory = Path(options.logs)
    last_words.bring_back(options.last_words, memory, disk)
    last_words.drop_old(disk, AGE_S)
    segments = Segments(memory, segment_bytes=IN_MEMORY_BYTES // 8, total_bytes=IN_MEMORY_BYTES)
    return Log(segments, source, kept=options.last_words)


def _complain(task: asyncio.Task[None]) -> None:
    """The instance runs as well without it: said, and no reason to end."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("%s failed", task.get_name(), exc_info=error)


async def _outcome(worker: asyncio.Task[None]) -> BaseException | None:
    await asyncio.wait([worker])
    return worker.exception()


def _protect() -> None:
    """Node-RED shares our user: keep it from reading our memory. Before any secret is held."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE) failed")
    strays.adopt()
    libc.mallopt(_M_ARENA_MAX, 1)  # the log thread shares our heap: an arena of its own costs memory


def _trim() -> None:
    """Give back what starting took."""
    gc.collect()
    gc.freeze()
    ctypes.CDLL(None).malloc_trim(0)


def _read_ticket(fd: int) -> str:
    """The ticket from the pipe, which is then closed. Raises NoTicket."""
    deadline = time.monotonic() + _TICKET_S
    data = bytearray()
    try:
        while len(data) < _TICKET_BYTES:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not select.select([fd], [], [], left_s)[0]:
                raise NoTicket(f"nothing came within {_TICKET_S:g} s")
            if not (chunk := os.read(fd, 4096)):
                break
            data += chunk
        return _ticket_in(bytes(data))
    except (OSError, ValueError, KeyError) as error:
        raise NoTicket(f"descriptor {fd}: {error}") from error
    finally:
        with contextlib.suppress(OSError):
            os.close(fd)


def _ticket_in(boot: bytes) -> str:
    """Raises ValueError, KeyError."""
    return msgspec.json.decode(boot, type=dict[str, str])["ticket"]


def _source() -> str:
    """Four digits that tell replicas apart (instance protocol §2.3)."""
    try:
        from _md5 import md5  # type: ignore[import-not-found,unused-ignore]  # hashlib would load OpenSSL
    except ImportError:
        from hashlib import md5
    return str(md5(socket.gethostname().encode(), usedforsecurity=False).hexdigest()[:4])
