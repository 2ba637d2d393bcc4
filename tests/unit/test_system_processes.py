"""Files, identities of processes, ports: the thin layer above the kernel."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import resource
import signal
import socket
import stat as modes
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from appliance.errors import Conflict
from appliance.system import sockdiag, sockets, tree
from appliance.system.files import (
    NotPlain,
    SingleInstanceLock,
    append_plain,
    make_private_dir,
    read_plain,
    write_atomic,
)
from appliance.system.pidfd import Process, identify, is_alive, stat, user_of
from appliance.system.resources import cpus, memory_available_bytes
from tests.descriptors import left
from tests.support import ROOT, free_port


def test_write_atomic_replaces_whole_with_the_mode_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "f"
    write_atomic(file, "old", 0o600)
    assert modes.S_IMODE(file.stat().st_mode) == 0o600
    write_atomic(file, b"new")
    assert (file.read_text(), modes.S_IMODE(file.stat().st_mode)) == ("new", 0o644)
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_write_atomic_keeps_the_old_when_the_disk_is_full(tmp_path: Path) -> None:
    file = tmp_path / "f"
    write_atomic(file, "old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_atomic(file, b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert file.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_private_dir_is_made_private(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir(mode=0o755)
    assert modes.S_IMODE(make_private_dir(tmp_path / "d").stat().st_mode) == 0o700


HOLD = """
import sys
from pathlib import Path
from appliance.system.files import SingleInstanceLock
SingleInstanceLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_lock_says_who_holds_it_and_ends_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "run" / "lock"
    path.parent.mkdir()
    lock = SingleInstanceLock(path)
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdin=-1, stdout=-1, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert lock.holder() == process.pid
        with pytest.raises(Conflict, match=f"as pid {process.pid}"):
            lock.acquire()
        process.kill()
    assert lock.holder() is None
    lock.acquire()
    assert lock.holder() == os.getpid()
    lock.release()
    lock.release()


async def test_identity_holds_for_one_process_only() -> None:
    child = await asyncio.create_subprocess_exec("sleep", "60")
    identity = identify(child.pid)
    assert identity is not None
    assert is_alive(identity)
    process = Process.open(identity)
    assert process is not None
    waiting = asyncio.create_task(process.wait())
    assert not await process.wait(0.01)
    process.send(signal.SIGKILL)
    assert await waiting
    assert not process.alive
    process.close()
    await child.wait()
    assert not is_alive(identity)
    assert Process.open(identity) is None
    assert stat(child.pid) is None or identify(child.pid) != identity


async def test_same_pid_of_another_start_is_a_stranger() -> None:
    own = identify(os.getpid())
    assert own is not None
    assert Process.open(replace(own, start_time=own.start_time - 1)) is None
    assert not is_alive(replace(own, boot_id="another"))


def test_name_of_a_process_may_hold_anything(tmp_path: Path) -> None:
    program = tmp_path / "a) Z 1 (b"
    program.symlink_to(sys.executable)
    pid = os.posix_spawn(program, [str(program), "-c", "import time; time.sleep(60)"], dict(os.environ))
    try:
        seen = stat(pid)
        assert seen is not None
        assert (seen.ppid, seen.state in "RSD") == (os.getpid(), True)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_ports_and_their_owners() -> None:
    port = free_port()
    assert sockets.port_free(port)
    assert sockets.listener_inode(port) is None
    with socket.create_server(("127.0.0.1", port)):
        assert not sockets.port_free(port)
        inode = sockets.listener_inode(port)
        assert inode is not None
        assert sockets.owns(os.getpid(), inode)
        assert not sockets.owns(1, inode)


def test_a_socket_of_another_user_is_known_by_the_user() -> None:
    """Instances with users of their own: what they hold is not ours to look at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        seen = sockets.listener(server.getsockname()[1])
        assert seen is not None and seen.user == os.geteuid()
        assert sockets.holds(os.getpid(), seen)
        assert not sockets.holds(1, seen)  # our own user proves nothing: all launchers of a box without units share it
        stranger = seen._replace(user=4711, inode=1)
        assert not sockets.holds(os.getpid(), stranger)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_who_made_a_socket_is_the_kernels_word() -> None:
    script = """
import os, socket
os.setuid(4711)
made = socket.create_server(("127.0.0.1", 0))
print(made.getsockname()[1], flush=True)
os.read(0, 1)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stdin is not None
        seen = sockets.listener(int(child.stdout.readline()))
        assert seen is not None and seen.user == 4711 == user_of(child.pid)
        assert sockets.holds(child.pid, seen) and not sockets.holds(os.getpid(), seen._replace(inode=1))
        child.stdin.close()


def test_bound_port_is_not_free_and_has_no_listener() -> None:
    """As a launcher holds it while Node-RED is not listening yet."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        assert not sockets.port_free(port)
        assert sockets.listener_inode(port) is None


def test_port_of_closed_connections_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            accepted.close()  # the side that closes first keeps TIME_WAIT
            assert client.recv(1) == b""
    assert sockets.port_free(port)


def test_no_port_is_no_free_port() -> None:
    assert not sockets.port_free(65536)


def test_resources_are_plausible() -> None:
    available = memory_available_bytes()
    assert available is not None
    assert available > 1 << 20
    assert 1 <= cpus() <= 4096


def test_a_lock_that_is_only_looked_at_can_be_taken(tmp_path: Path) -> None:
    """`weir status` and `./dev up` ask who holds it, and have it for a moment meanwhile."""
    path = tmp_path / "lock"
    path.touch()
    with path.open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        threading.Timer(0.03, fcntl.flock, (looking, fcntl.LOCK_UN)).start()
        lock = SingleInstanceLock(path)
        lock.acquire()
        lock.release()


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/etc/hostname"), Path.mkdir])
def test_only_plain_files_are_read_where_others_write(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "odd")
    with pytest.raises(OSError):
        read_plain(tmp_path / "odd", 100)
    with pytest.raises(OSError):
        append_plain(tmp_path / "odd", 0o600)
    (tmp_path / "plain").write_text("text")
    assert read_plain(tmp_path / "plain", 4) == b"text"
    with pytest.raises(NotPlain):
        read_plain(tmp_path / "plain", 3)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_both_ways_to_listeners_agree(family: socket.AddressFamily) -> None:
    """The kernel's quick answer and its table, which is read where a sandbox forbids the first."""
    with socket.socket(family) as server, socket.socket(family) as other:
        for each in (server, other):
            each.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
            each.listen()
        port = server.getsockname()[1]
        address, inode = socket.inet_pton(family, server.getsockname()[0]), os.fstat(server.fileno()).st_ino
        expected = [(address, inode, os.geteuid())]
        assert sockdiag.listeners(port, family) == expected
        assert sockets.table_listeners(port, family) == expected
        with socket.create_connection(server.getsockname()[:2]) as client:  # connections have the port as well
            assert client.getpeername()[1] == port
            assert sockdiag.listeners(port, family) == expected
    assert sockdiag.listeners(port, family) == sockets.table_listeners(port, family) == []


def test_listeners_are_found_without_sock_diag(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> list[tuple[bytes, int]]:
        raise PermissionError(1, "forbidden by a sandbox")

    monkeypatch.setattr(sockdiag, "listeners", refused)
    with socket.create_server(("127.0.0.1", 0)) as server:
        inode = os.fstat(server.fileno()).st_ino
        assert sockets.listener_inode(server.getsockname()[1]) == inode
        assert sockets.any_listener_inode(server.getsockname()[1]) == inode


def test_an_answer_of_sock_diag_that_was_cut_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockdiag, "_ANSWER_BYTES", 60)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port, inode = server.getsockname()[1], os.fstat(server.fileno()).st_ino
        with pytest.raises(OSError, match="cut"):
            sockdiag.listeners(port)
        assert sockets.listener_inode(port) == inode


def test_what_can_not_be_seen_for_want_of_descriptors_is_not_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A launcher that was taken for gone would get a second one beside it."""
    read = Path.read_bytes

    def scarce(path: Path) -> bytes:
        if path.name in ("status", "cmdline", "environ"):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return read(path)

    child = subprocess.Popen(["sleep", "60"], env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"})
    try:
        assert {each.pid for each in tree.grown([], tmp_path)} == {child.pid}
        monkeypatch.setattr(Path, "read_bytes", scarce)
        for look in (lambda: tree.grown([], tmp_path), lambda: tree.launchers(tmp_path)):
            with pytest.raises(OSError, match="Too many open files"):
                look()
    finally:
        child.kill()
        child.wait()
    with left(0), pytest.raises(OSError, match="Too many open files"):
        sockets.owns(os.getpid(), 1)
