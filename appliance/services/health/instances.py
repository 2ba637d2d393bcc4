"""Instances that keep failing, and ports of theirs that somebody else has."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from appliance.model import SYSTEM
from appliance.schema.instances import Instance, Instances
from appliance.services.health.trouble import Seconds, Steady, Trouble
from appliance.system import vitals
from appliance.system.vitals import Listener

FAILING_S = 20.0
FAILING = ("crashed", "error", "unknown")
QUIET = ("running", "safe", "stopped", "suspended", "suspending", "deleting")
_ELSEWHERE = ("stack_missing",)  # told by the problem of the stack

Listed = Callable[..., Awaitable[Instances]]
Find = Callable[[list[int]], list[Listener]]


class InstancesCheck:
    """Judges by what is shown of each instance; a failure that is over within seconds is none."""

    name = "instances"
    every_s = 10.0
    quick = True

    def __init__(self, listed: Listed, uptime_s: Seconds, find: Find = vitals.listeners) -> None:
        self._listed = listed
        self._uptime_s = uptime_s
        self._find = find
        self._failing: dict[str, Steady] = {}
        self._told: dict[str, Trouble] = {}

    async def look(self) -> Sequence[Trouble]:
        listed = (await self._listed(SYSTEM)).instances
        strangers = await asyncio.to_thread(self._strangers, [each for each in listed if each.meta.state in FAILING])
        judged = {each.id: self._judge(each, strangers) for each in listed}
        self._told = {key: trouble for key, trouble in judged.items() if trouble is not None}
        self._failing = {key: self._failing[key] for key in judged}
        return list(self._told.values())

    def _judge(self, each: Instance, strangers: dict[str, Listener]) -> Trouble | None:
        known = self._failing.setdefault(each.id, Steady(FAILING_S, self._uptime_s))
        if each.meta.state == "safe":
            return safe(each)
        if each.meta.state == "running" and each.meta.reason == "modules_failed":
            return without_modules(each)
        elsewhere = each.meta.reason in _ELSEWHERE
        bad = each.meta.state in FAILING and not elsewhere
        if not bad and not elsewhere and each.meta.state not in QUIET:
            return self._told.get(each.id)  # on its way up it is neither well nor has it failed again
        if not known.take(bad=bad, well=not bad):
            return None
        stranger = strangers.get(each.id)
        return port_taken(each, stranger) if stranger is not None else failing(each)

    def _strangers(self, failing: Sequence[Instance]) -> dict[str, Listener]:
        """By instance, who has a loopback port of it and is not of it. Blocks."""
        ports = {each.ports[kind]: each for each in failing for kind in ("node_red", "launcher") if kind in each.ports}
        found = self._find(list(ports)) if ports else []
        return {ports[one.port].id: one for one in found if not _own(one, ports[one.port])}


def _own(listener: Listener, instance: Instance) -> bool:
    if listener.pid is None:
        return False
    if listener.pid in (instance.meta.launcher_pid, instance.meta.node_red_pid):
        return True
    return instance.id.encode() in _command_line(listener.pid)


def _command_line(pid: int) -> bytes:
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_bytes()
    except OSError:
        return b""


def safe(each: Instance) -> Trouble:
    """The trouble of an instance in safe mode: it looks well and does nothing."""
    return Trouble(
        f"instance_safe:{each.id}",
        f"{each.name} runs in safe mode: its flows are stopped",
        each.meta.message or "Its flows crashed several times in a row, so they were not started again.",
        f"reason {each.meta.reason or 'not told'}, {each.meta.restarts} restarts",
        f"Open {each.url}, repair the flow and deploy; then: weir instance restart {each.name}",
        about=each.id,
    )


def without_modules(each: Instance) -> Trouble:
    """The trouble of an instance that runs, but not with the modules it is to have."""
    return Trouble(
        f"instance_modules:{each.id}",
        f"{each.name} runs without modules that are on its list",
        each.meta.message,
        f"reason {each.meta.reason}",
        f"What npm said: weir instance logs {each.name}; to try again: weir instance restart {each.name}",
        about=each.id,
    )


def failing(each: Instance) -> Trouble:
    """The trouble of an instance that does not come up."""
    later = f"; tried again at {each.meta.next_try_at}" if each.meta.next_try_at else ""
    return Trouble(
        f"instance_failing:{each.id}",
        f"{each.name} keeps failing" if each.meta.state == "crashed" else f"{each.name}: {each.meta.state}",
        each.meta.message or "It ends again and again.",
        f"{each.meta.state}, reason {each.meta.reason or 'not told'}, {each.meta.restarts} restarts{later}",
        f"Its last words: weir instance logs {each.name}",
        about=each.id,
    )


def port_taken(each: Instance, listener: Listener) -> Trouble:
    """The trouble of an instance whose port somebody else has."""
    return Trouble(
        f"instance_port:{each.id}",
        f"{each.name} can't start: its port {listener.port} is taken",
        f"{listener} listens on port {listener.port}, which belongs to this instance.",
        f"{each.meta.state}, reason {each.meta.reason or 'not told'}",
        f"End that program or have it use another port. It is seen with: ss -ltnp 'sport = :{listener.port}'",
        about=each.id,
    )
