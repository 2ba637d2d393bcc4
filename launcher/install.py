"""npm for one instance, as a program: what changes the modules works on a copy, alone, in a clean environment.

The launcher runs it (`--wanted`), and so do Node-RED's palette and function nodes, through the script `npm` that comes
first on their PATH. It is a process of its own so that the launcher stays small. Exit status: npm's, or one of those
below; what went wrong is the last line of stderr.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import re
import select
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from launcher import orphan
from launcher.files import read_if_there, write_all
from launcher.staging import MODULES, PACKAGE, Yard

EXIT_DISK = 74  # the disk refused; nothing was changed
EXIT_BUSY = 75  # another install held the directory until time was up
EXIT_TIMEOUT = 124  # npm did not end in time
EXIT_CANCELLED = 143
CACHE_BYTES = 256 * 1024 * 1024
PROGRESS = "::progress "
_POLL_S = 0.25
_GRACE_S = 1.0
_LAST_READS = 64  # a pipe holds 64 kB, unless it was made larger
_CUT_SHORT = b"TAR_ENTRY_ERROR"
# What an install script of a stranger gets of the environment: the rest may be secret.
_KEPT = re.compile(
    r"npm_config_\w+|(https?|no|all)_proxy|node_extra_ca_certs|ssl_cert_(file|dir)|path|home|lang|tz", re.IGNORECASE
)
_CHANGING = re.compile(
    r"add|audit|ci|i|in|ins|inst|insta|instal|install|clean-install|install-clean|install-ci-test|install-test|it"
    r"|dedupe|ddp|link|ln|prune|rebuild|rb|remove|rm|r|uninstall|un|unlink|update|up|upgrade"
)
_ELSEWHERE = re.compile(r"-g|--global(=.*)?|--location(=.*)?|--prefix(=.*)?|-C")
_PLACED = re.compile(r"npm silly placeDep \S+ (\S+) ")
_FETCHED = re.compile(r"npm http fetch GET 200 \S+\.tgz")
_SCRIPT = re.compile(r"npm info run (\S+) (preinstall|install|postinstall) \S+ ")
_CHATTER = re.compile(r"npm (silly|http|info|verbose|timing)\b")


class Failed(Exception):
    """The install came to nothing; `status` is how the program ends."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Job(Struct, frozen=True):
    """One run. `wanted`: a file with the whole list of modules; `recover`: only see to what was cut off;
    `arguments`: npm's own."""

    directory: Path
    node: str
    npm: str
    timeout_s: float
    wanted: Path | None
    recover: bool
    arguments: list[str]


def main(argv: Sequence[str]) -> int:
    """Carry out one command line; answers the exit status."""
    job = _parse(argv)
    if job.wanted is None and not job.recover and not _is_ours(job):
        os.execve(job.node, [job.node, job.npm, *job.arguments], os.environ)  # noqa: S606 - no shell is meant
    install = Install(job, Yard(job.directory))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, install.cancel)
    try:
        return install.run()
    except Failed as error:
        _complain(str(error))
        return error.status
    except OSError as error:
        _complain(f"{error.filename or 'a file'} can't be written: {error.strerror}")
        return EXIT_DISK


def _complain(text: str) -> None:
    sys.stderr.write(f"weir: {text}\n")
    sys.stderr.flush()


def _parse(argv: Sequence[str]) -> Job:
    import argparse

    parser = argparse.ArgumentParser(prog="npm")
    parser.add_argument("--dir", required=True, type=Path, dest="directory")
    parser.add_argument("--node", required=True)
    parser.add_argument("--npm", required=True)
    parser.add_argument("--timeout", type=float, default=900.0, dest="timeout_s")
    parser.add_argument("--wanted", type=Path)
    parser.add_argument("--recover", action="store_true")
    own, rest = list(argv), list[str]()
    if "--" in own:
        rest = own[own.index("--") + 1 :]
        own = own[: own.index("--")]
    return Job(**vars(parser.parse_args(own)), arguments=rest)


def _is_ours(job: Job) -> bool:
    """Whether this would change the modules of the instance; all else is npm's own business."""
    words = [word for word in job.arguments if not word.startswith("-")]
    if not words or not _CHANGING.fullmatch(words[0]) or any(_ELSEWHERE.fullmatch(word) for word in job.arguments):
        return False
    return os.path.realpath(".") == os.path.realpath(job.directory)


class Install:
    """One install in one directory."""

    def __init__(self, job: Job, yard: Yard) -> None:
        self._job = job
        self._yard = yard
        self._deadline = time.monotonic() + job.timeout_s
        self._parent = os.getppid()
        self._cancelled = self._cut_short = False

    def cancel(self, number: int, frame: object) -> None:
        """For signals: npm is ended at the next look at it. A swap that has begun is carried through."""
        self._cancelled = True

    def run(self) -> int:
        """Install, swap, clean up. Raises Failed and OSError; then what was there is there."""
        self._yard.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Not to wait for a reader of what is a pipe by now.
        fd = os.open(self._yard.lock_file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
        with contextlib.ExitStack() as stack:
            stack.callback(os.close, fd)
            self._wait_for(fd)
            self._end_orphan()
            if self._yard.recover():
                _complain("an install that was cut off was brought to its end")
            return 0 if self._job.recover else self._locked()

    def _locked(self) -> int:
        job = self._job
        wanted = msgspec.json.decode(read_if_there(job.wanted) or b"", type=dict[str, str]) if job.wanted else None
        stage = self._yard.stage(without=broken(job.directory, wanted or {}))
        try:
            if wanted is not None:
                self._yard.list(stage, wanted)
            if status := self._npm(stage):
                return status
            if missing := broken(stage, wanted or {}):
                raise Failed(1, f"npm ended well, but {', '.join(missing[:3])} is not there")
            self._check()
            self._yard.commit(stage, wanted)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
            _bound_cache(job.directory / ".npm" / "_cacache")
        return 0

    def _npm(self, stage: Path) -> int:
        job = self._job
        watched = job.wanted is not None
        arguments = ["install", "--omit=dev", "--loglevel=silly"] if watched else job.arguments
        npm = subprocess.Popen(
            [job.node, job.npm, *arguments],
            cwd=stage,
            env=_environment(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            orphan.note(self._orphan_note, npm.pid)
            status = self._watch(npm, (_Progress(), _Progress()) if watched else self._relays())
        finally:
            _end(npm)
            self._orphan_note.unlink(missing_ok=True)
        if status == 0 and self._cut_short:
            # npm warns of it, and ends well.
            raise Failed(EXIT_DISK, "npm could not unpack all that it fetched: is the disk full (ENOSPC)?")
        return status

    def _relays(self) -> tuple[_Relay, _Relay]:
        return _Relay(1, self._check), _Relay(2, self._check)

    def _watch(self, npm: subprocess.Popen[bytes], takers: Sequence[_Relay | _Progress]) -> int:
        """npm's exit status. Raises Failed when it takes too long, or nobody waits for it any more."""
        pipes = [pipe for pipe in (npm.stdout, npm.stderr) if pipe is not None]
        with selectors.DefaultSelector() as selector, contextlib.ExitStack() as stack:
            pidfd = os.pidfd_open(npm.pid)
            stack.callback(os.close, pidfd)
            selector.register(pidfd, selectors.EVENT_READ)
            for pipe, taker in zip(pipes, takers, strict=True):
                stack.enter_context(pipe)
                os.set_blocking(pipe.fileno(), False)
                selector.register(pipe, selectors.EVENT_READ, taker)
            while not self._step(selector):
                pass
            for pipe, taker in zip(pipes, takers, strict=True):
                for _ in range(_LAST_READS):  # whoever npm left behind may write for ever
                    if not self._move(pipe.fileno(), taker):
                        break
                taker.close()
        status = npm.wait()
        return status if status >= 0 else 128 - status

    def _step(self, selector: selectors.BaseSelector) -> bool:
        """Wait a moment; whether npm has ended."""
        ended = False
        for key, _ in selector.select(_POLL_S):
            if key.data is None:
                ended = True
            elif not self._move(key.fd, key.data):
                selector.unregister(key.fileobj)
        if not ended:
            self._check()
        return ended

    def _move(self, fd: int, taker: _Relay | _Progress) -> bool:
        """Take what a pipe holds; whether there was any."""
        try:
            chunk = os.read(fd, 65536)
        except BlockingIOError:
            return False
        self._cut_short = self._cut_short or _CUT_SHORT in chunk
        try:
            taker.feed(chunk)
        except BrokenPipeError:
            self._cancelled = True
        return bool(chunk)

    def _check(self) -> None:
        """Raises Failed when this is not to go on."""
        if self._cancelled:
            raise Failed(EXIT_CANCELLED, "the install was cancelled; nothing was changed")
        if os.getppid() != self._parent:
            raise Failed(EXIT_CANCELLED, "whoever asked for the install is gone; nothing was changed")
        if time.monotonic() > self._deadline:
            text = f"npm was still busy after {self._job.timeout_s:g} s; is the registry reachable?"
            raise Failed(EXIT_TIMEOUT, text)

    def _wait_for(self, fd: int) -> None:
        told = False
        while True:
            try:
                return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not told:
                    _complain("waiting for another install in this directory")
                told = True
            if time.monotonic() > self._deadline:
                raise Failed(EXIT_BUSY, "another install in this directory did not end")
            self._check()
            time.sleep(0.1)

    @property
    def _orphan_note(self) -> Path:
        return self._yard.root / "npm.json"

    def _end_orphan(self) -> None:
        """An npm whose runner was killed: it works in a stage that nobody will take."""
        if self._orphan_note.exists():
            asyncio.run(orphan.end(self._orphan_note, grace_s=0.5))
            self._orphan_note.unlink(missing_ok=True)


class _Relay:
    """npm's output as it is, for whoever called us by npm's name. While he does not read, `check` is asked now and
    then whether to go on: it raises when not."""

    def __init__(self, fd: int, check: Callable[[], None]) -> None:
        self._fd = fd
        self._check = check
        self._room = select.poll()
        self._room.register(fd, select.POLLOUT)

    def feed(self, chunk: bytes) -> None:
        for at in range(0, len(chunk), select.PIPE_BUF):  # so much can be written at once where anything can
            while not self._room.poll(_POLL_S * 1000):
                self._check()
            write_all(self._fd, chunk[at : at + select.PIPE_BUF])

    def close(self) -> None:
        pass


class _Progress:
    """npm's talk: what people may want to read goes on, what it says of its progress becomes a line of ours."""

    def __init__(self) -> None:
        self._rest = b""
        self._placed: set[str] = set()
        self._fetched = 0

    def feed(self, chunk: bytes) -> None:
        *lines, rest = (self._rest + chunk).split(b"\n")
        self._rest = rest[-16384:]
        for line in lines:
            self._line(line.decode("utf-8", "replace"))
        sys.stdout.flush()

    def close(self) -> None:
        if self._rest:
            self.feed(b"\n")

    def _line(self, line: str) -> None:
        if not _CHATTER.match(line):
            sys.stdout.write(f"{line}\n")
        elif match := _PLACED.match(line):
            self._placed.add(match[1])
        elif _FETCHED.match(line):
            self._fetched += 1
            sys.stdout.write(f"{PROGRESS}{self._fetched} {max(self._fetched, len(self._placed))}\n")
        elif match := _SCRIPT.match(line):
            sys.stdout.write(f"{PROGRESS}script {match[1]}\n")


def _end(npm: subprocess.Popen[bytes]) -> None:
    """npm hands SIGTERM on to the scripts it runs; what outlives it goes with the group of whoever asked."""
    if npm.poll() is None:
        npm.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            npm.wait(_GRACE_S)
    if npm.poll() is None:
        npm.kill()
        npm.wait()


def broken(directory: Path, wanted: Mapping[str, str]) -> list[str]:
    """Which of the modules are not there, or have no package.json that can be read."""
    return [name for name in wanted if not _is_whole(directory / MODULES / name / PACKAGE)]


def _is_whole(package: Path) -> bool:
    try:
        return isinstance(msgspec.json.decode(read_if_there(package) or b"", type=dict[str, Any]).get("name"), str)
    except (OSError, msgspec.DecodeError, RecursionError):
        return False


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    clean = {name: value for name, value in given.items() if _KEPT.fullmatch(name)}
    quiet = {"npm_config_update_notifier": "false", "npm_config_audit": "false", "npm_config_fund": "false"}
    # npm's own pauses between attempts (10 s, then a minute) would keep a box without a line from starting what it has.
    patience = {"fetch_retries": "3", "fetch_retry_mintimeout": "1000", "fetch_retry_maxtimeout": "5000"}
    quiet |= {f"npm_config_{name}": value for name, value in patience.items()}
    return {**quiet, "npm_config_progress": "false", "npm_config_logs_max": "3", **clean}


def _bound_cache(cache: Path) -> None:
    """npm's cache grows for ever: beyond `CACHE_BYTES` it is begun anew."""
    total = 0
    for path, _, names in os.walk(cache):
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(path, name).lstat().st_size
    if total > CACHE_BYTES:
        shutil.rmtree(cache, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
