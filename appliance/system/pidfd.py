"""Processes whose identity is proven: a pid alone may belong to a stranger by the time it is used.

Identity is pid + start time + boot; a handle opens the pidfd first and reads the start time afterwards, so that
what the descriptor refers to is what was checked (man pidfd_open(2), proc(5) field 22 of stat).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import select
import signal
from functools import cache
from pathlib import Path

from msgspec import Struct

PROC = Path("/proc")


def out_of_descriptors(error: OSError) -> bool:
    """Whether nothing could be seen for want of a descriptor: what can't be seen is not gone."""
    return error.errno in (errno.EMFILE, errno.ENFILE)


class Identity(Struct, frozen=True):
    """One process of one boot of this machine. `start_time` in clock ticks since boot."""

    pid: int
    start_time: int
    boot_id: str


class Stat(Struct, frozen=True):
    """What `/proc/PID/stat` says that we use."""

    state: str
    ppid: int
    session: int
    start_time: int


@cache
def boot_id() -> str:
    """Differs after every boot: start times repeat then."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def stat(pid: int) -> Stat | None:
    """None when there is no such process."""
    try:
        text = (PROC / str(pid) / "stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in parentheses and may hold spaces and parentheses itself.
    fields = text[text.rindex(b")") + 2 :].split()
    return Stat(fields[0].decode(), int(fields[1]), int(fields[3]), int(fields[19]))


def identify(pid: int) -> Identity | None:
    """The identity of the process that has this pid now."""
    seen = stat(pid)
    return Identity(pid, seen.start_time, boot_id()) if seen else None


def user_of(pid: int) -> int | None:
    """The real user of a process; None when it is gone. Not the owner of /proc/PID, which is root for launchers: they
    make themselves undumpable. Raises OSError where no descriptors are left to look with."""
    try:
        lines = (PROC / str(pid) / "status").read_bytes().splitlines()
    except OSError as error:
        if out_of_descriptors(error):
            raise
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith(b"Uid:")), None)


def is_alive(identity: Identity) -> bool:
    """Whether exactly this process still runs; a zombie does not."""
    if identity.boot_id != boot_id():
        return False
    seen = stat(identity.pid)
    return seen is not None and seen.start_time == identity.start_time and seen.state not in "ZX"


class Process:
    """A proven process, ours or not our child, held by a pidfd. Close it after use."""

    def __init__(self, identity: Identity, fd: int) -> None:
        self.identity = identity
        self._fd = fd
        self._exited: asyncio.Future[None] | None = None

    @classmethod
    def open(cls, identity: Identity) -> Process | None:
        """None when that process is gone, whoever has its pid now. Raises OSError where /proc can't be read for want of
        descriptors."""
        try:
            fd = os.pidfd_open(identity.pid)
        except (OSError, ValueError, OverflowError):  # EINVAL: no number of a process, or that of a thread
            return None
        process = cls(identity, fd)
        proven = False
        try:
            proven = process.alive and identify(identity.pid) == identity
        finally:
            if not proven:
                process.close()
        return process if proven else None

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """The process that has this pid now; None when there is none. Raises as `open` does."""
        identity = identify(pid)
        return cls.open(identity) if identity is not None else None

    @property
    def alive(self) -> bool:
        """False from the moment it has ended, reaped or not."""
        if self._fd < 0:
            return False
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return not poll.poll(0)

    def send(self, number: signal.Signals) -> None:
        """Signal exactly this process; harmless when it is gone."""
        if self._fd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._fd, number)

    async def wait(self, timeout_s: float | None = None) -> bool:
        """True once it has ended, False when `timeout_s` is over."""
        if not self.alive:
            return True
        future = self._watch()
        await asyncio.wait([future], timeout=timeout_s)
        return future.done()

    def reap(self) -> int | None:
        """The exit code (negative: the signal) of an ended child; None for others and for living ones."""
        if self._fd < 0:
            return None
        try:
            result = os.waitid(os.P_PIDFD, self._fd, os.WEXITED | os.WNOHANG)
        except ChildProcessError:
            return None
        if result is None:
            return None
        return result.si_status if result.si_code == os.CLD_EXITED else -result.si_status

    def close(self) -> None:
        """Give the descriptor back; waiters are told as if it had ended."""
        if self._fd < 0:
            return
        if self._exited is not None:
            self._exited.get_loop().remove_reader(self._fd)
            if not self._exited.done():
                self._exited.set_result(None)
        os.close(self._fd)
        self._fd = -1

    def _watch(self) -> asyncio.Future[None]:
        if self._exited is None:
            loop = asyncio.get_running_loop()
            self._exited = loop.create_future()
            loop.add_reader(self._fd, self._ended)
        return self._exited

    def _ended(self) -> None:
        assert self._exited is not None
        self._exited.get_loop().remove_reader(self._fd)
        if not self._exited.done():
            self._exited.set_result(None)
