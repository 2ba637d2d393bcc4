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
    except OSError:
        return pids()
    return [master, *map(int, children.split())]


def pids() -> list[int]:
    """All processes of this machine."""
    return [int(entry.name) for entry in pidfd.PROC.iterdir() if entry.name.isdigit()]


def command_line(pid: int) -> str:
    """Of any process, joined by spaces; empty when it is gone."""
    try:
        return (pidfd.PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def account(pid: int) -> int | None:
    """The number of the account that a process runs as; None when it is gone."""
    try:
        lines = (pidfd.PROC / str(pid) / "status").read_bytes().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith(b"Uid:")), None)


def members(number: int, among: list[int] | None = None) -> list[Process]:
    """nginx's own processes in a session, each proven and held. `among`: where to look, else everywhere."""
    found = []
    for pid in pids() if among is None else among:
        if not command_line(pid).startswith("nginx: "):
            continue
        identity = pidfd.identify(pid)
        process = Process.open(identity) if identity is not None else None
        if process is None:
            continue
        seen = pidfd.stat(process.identity.pid)
        if seen is not None and seen.session == number:
            found.append(process)
        else:
            process.close()
    return found
