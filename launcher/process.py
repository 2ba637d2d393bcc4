"""One child in a session of its own: spawned, watched through a pidfd, stopped as a group.

`posix_spawn` gives the child exact file descriptor numbers without a `preexec_fn`; everything else the
launcher holds is close-on-exec.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

CHUNK_BYTES = 65536
_HIGH_FD = 20  # above all numbers a child is given, so that no dup2 overwrites a source
# Ignoring is inherited, from us (SIGPIPE, SIGHUP) and from whoever started us (a script's `&` ignores SIGINT).
_TO_DEFAULT = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
# Like the kernel's own table of our children there is one of it in a process. What is not in it came to us as an
# orphan (launcher/strays.py).
_STARTED = set[int]()


class SpawnFailed(Exception):
    """The program could not be started; the cause is chained."""


class StillAlive(Exception):
    """Even SIGKILL did not end it within the deadline (a process stuck in the kernel)."""


class Exit(Struct, frozen=True):
    """How a process ended: one of the two is set."""

    code: int | None
    signal: str | None

    def __str__(self) -> str:
        return f"rc={self.code} signal={self.signal}"


class Process:
    """A running child. `exited` is a future of its Exit; its whole group is killed when the child ends."""

    def __init__(self, pid: int, pidfd: int, outputs: Sequence[Output]) -> None:
        self.pid = pid
        self.exited: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self._pidfd = pidfd
        self._outputs = outputs
        _STARTED.add(pid)
        asyncio.get_running_loop().add_reader(pidfd, self._reap)

    @property
    def alive(self) -> bool:
        return not self.exited.done()

    def signal_group(self, number: signal.Signals) -> None:
        """Safe against a reused pid: the leader is reaped only in `_reap`, so its number is still ours."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    async def stop(self, grace_s: float, kill_s: float = 20) -> Exit:
        """SIGTERM to the group, SIGKILL after `grace_s`; returns when the process is gone.

        Raises StillAlive when it survives SIGKILL for `kill_s`.
        """
        self.signal_group(signal.SIGTERM)
        if not await self._gone_within(grace_s):
            self.signal_group(signal.SIGKILL)
            if not await self._gone_within(kill_s):
                raise StillAlive(f"process {self.pid} did not end within {kill_s:g} s of SIGKILL")
        return self.exited.result()

    async def _gone_within(self, seconds: float) -> bool:
        await asyncio.wait([self.exited], timeout=seconds)
        return self.exited.done()

    def _reap(self) -> None:
        loop = asyncio.get_running_loop()
        # The zombie still holds the group's number: nobody else can be hit.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        result = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG)
        if result is None:
            return
        _STARTED.discard(self.pid)
        loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        for output in self._outputs:
            output.finish()
        self.exited.set_result(_exit_of(result))


class Output:
    """Reads one pipe in chunks and never waits for it: a grandchild that keeps it open delays nobody."""

    def __init__(self, fd: int, take: Callable[[bytes], None], end: Callable[[], None]) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._take = take
        self._end = end
        asyncio.get_running_loop().add_reader(fd, self._read)

    @property
    def ended(self) -> bool:
        """Whether nobody can write any more, or it was closed here."""
        return self._fd < 0

    def finish(self) -> None:
        """Take what is still in the pipe, bounded, and close it."""
        for _ in range(64):  # a pipe holds 64 KiB; a few more for one that was made larger
            if self._fd < 0 or not self._read():
                break
        self.close()

    def close(self) -> None:
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
            self._end()

    def _read(self) -> bool:
        try:
            chunk = os.read(self._fd, CHUNK_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            chunk = b""
        if not chunk:
            self.close()
            return False
        self._take(chunk)
        return True


def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    fds: Mapping[int, int] | None = None,
    outputs: Mapping[int, tuple[Callable[[bytes], None], Callable[[], None]]] | None = None,
) -> Process:
    """Start `argv` in a new session with stdin from /dev/null.

    `fds` maps the child's numbers to ours; `outputs` maps its numbers (1, 2) to a chunk and an end callback.
    Raises SpawnFailed. Must be called in the event loop.
    """
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        # Inherited; the kernel would reap our children for us (https://github.com/python/cpython/issues/76296).
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pipes: dict[int, tuple[int, int]] = {}
    try:
        for number in outputs or {}:
            pipes[number] = os.pipe()
        sources = {**(fds or {}), **{number: write for number, (_, write) in pipes.items()}}
        pid = _spawn(argv, env, cwd, sources)
        pidfd = _watch(pid)
    except OSError as error:
        for read, _ in pipes.values():
            os.close(read)
        raise SpawnFailed(f"{argv[0]} could not be started: {reason(error)}") from error
    finally:
        for _, write in pipes.values():
            os.close(write)
    readers = [Output(pipes[number][0], *calls) for number, calls in (outputs or {}).items()]
    return Process(pid, pidfd, readers)


def out_of_descriptors(error: OSError) -> bool:
    """Whether it will pass once somebody closes what he holds."""
    return error.errno in (errno.EMFILE, errno.ENFILE)


def reason(error: OSError) -> str:
    """What the kernel says, and where it can be told, what to do."""
    text = error.strerror or str(error)
    if out_of_descriptors(error):
        text += (
            f": no file descriptors are left. See what holds them: ls -l /proc/{os.getpid()}/fd, and raise the limit: "
            "ulimit -n, or LimitNOFILE= of the service"
        )
    return text


def started_here(pid: int) -> bool:
    """Whether a child of this process was started by `spawn` and has not been reaped."""
    return pid in _STARTED


def _spawn(argv: Sequence[str], env: Mapping[str, str], cwd: Path, fds: Mapping[int, int]) -> int:
    with contextlib.ExitStack() as opened:
        raised: dict[int, int] = {}
        for number, fd in fds.items():
            raised[number] = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _HIGH_FD)
            opened.callback(os.close, raised[number])
        actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            *((os.POSIX_SPAWN_DUP2, high, number) for number, high in raised.items()),
        ]
        # posix_spawn has no working directory: ours is changed around the call, which returns after exec.
        home = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        opened.callback(os.close, home)
        opened.callback(os.fchdir, home)
        os.chdir(cwd)
        return os.posix_spawn(
            argv[0],
            list(argv),
            env,
            file_actions=actions,
            setsid=True,
            setsigmask=[],
            setsigdef=_TO_DEFAULT,
        )


def _watch(pid: int) -> int:
    try:
        return os.pidfd_open(pid)
    except OSError:  # no descriptors left: a child that can't be watched must not live
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def _exit_of(result: os.waitid_result) -> Exit:
    if result.si_code == os.CLD_EXITED:
        return Exit(result.si_status, None)
    try:
        return Exit(None, signal.Signals(result.si_status).name)
    except ValueError:
        return Exit(None, f"signal {result.si_status}")


def close_on_exec_all() -> None:
    """Whatever the launcher was started with beyond 0, 1 and 2 stays with the launcher."""
    for entry in list(Path("/proc/self/fd").iterdir()):
        if int(entry.name) > 2:
            with contextlib.suppress(OSError):
                os.set_inheritable(int(entry.name), False)
