"""nginx's processes as /proc shows them: a master and its workers share a session."""

from __future__ import annotations

from appliance.system import pidfd
from appliance.system.pidfd import Process


def stopped(session: int) -> list[int]:
    """Which of nginx's own processes of a session are stopped; a debugger counts as well."""
    found = []
    for process in members(session, _descendants(session)):
        seen = pidfd.stat(process.identity.pid)
        if seen is not None and seen.state in "Tt":
            found.append(process.identity.pid)
        process.close()
    return found


def _descendants(master: int) -> list[int]:
    """A master and its children; every process there is where the kernel does not tell children."""
    try:
        children = (pidfd.PROC / str(master) / "task" / str(master) / "children").read_bytes()
    except OSError as error:
        if pidfd.out_of_descriptors(error):
            raise
        return pids()
    return [master, *map(int, children.split())]


def pids() -> list[int]:
    """All processes of this machine."""
    return [int(entry.name) for entry in pidfd.PROC.iterdir() if entry.name.isdigit()]


def command_line(pid: int) -> str:
    """Of any process, joined by spaces; empty when it is gone, or hidden from us: then it is none of ours. Raises
    OSError where it can't be looked at: that is not gone."""
    return _read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace").strip()


def account(pid: int) -> int | None:
    """The number of the account that a process runs as; None when it is gone or hidden. Raises OSError as above."""
    lines = _read(pid, "status").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(b"Uid:")), None)


def _read(pid: int, name: str) -> bytes:
    try:
        return (pidfd.PROC / str(pid) / name).read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):  # ESRCH: it ended while it was read
        return b""


def members(number: int, among: list[int] | None = None) -> list[Process]:
    """nginx's own processes in a session, each proven and held. `among`: where to look, else everywhere. Raises OSError
    where one can't be looked at; then none is held."""
    found: list[Process] = []
    try:
        for pid in pids() if among is None else among:
            if (process := _member(pid, number)) is not None:
                found.append(process)
    except OSError:
        for process in found:
            process.close()
        raise
    return found


def _member(pid: int, number: int) -> Process | None:
    if not command_line(pid).startswith("nginx: "):
        return None
    process = Process.of(pid)
    if process is None:
        return None
    ours = False
    try:
        seen = pidfd.stat(pid)
        ours = seen is not None and seen.session == number
    finally:
        if not ours:
            process.close()
    return process if ours else None
